// SPDX-License-Identifier: MIT
// How the rows of a network's table come to be.
#pragma once

namespace dla {

DLA_ONCE RowBuilder::Scope::Scope(std::string& path, std::string_view name) : path_(path), length_(path.size()) {
    path_.append(path_.empty() ? "" : ".").append(name);
}

DLA_ONCE void RowBuilder::describe_network(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) {
    check_row(name, in, out, facts);
    index_.network = make_row(name, in, out, facts);
    index_.network.end = next_layer_;
    index_.network.leaf = next_layer_ == 0;
    index_.network.first_param = 0;
    index_.network.end_param = index_.parameters.size();
}

DLA_ONCE int RowBuilder::enter_layer(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) {
    const int id = next_layer_++;
    if (!bind_) {
        if (!open_.empty()) index_.layers[static_cast<std::size_t>(open_.back())].leaf = false;
        check_row(name, in, out, facts);
        index_.layers.push_back(make_row(name, in, out, facts));
    }
    open_.push_back(id);
    return id;
}

DLA_ONCE void RowBuilder::leave_layer(int id) {
    open_.pop_back();
    if (bind_) return;
    LayerRow& row = index_.layers[static_cast<std::size_t>(id)];
    row.end = next_layer_;
    row.end_param = index_.parameters.size();
}

DLA_ONCE void RowBuilder::refused(const Text& sentence) const { fail(ErrorCode::shape, "network", sentence.view()); }

DLA_ONCE const ParamRow* RowBuilder::declare_parameter(const char* name, ParamKind kind, const Dims& dims, const Init& init, const DiskOrder& order,
                                                       index_t padded) {
    if (bind_) return &index_.parameters[next_parameter_++];
    check_size(name, dims, index_.value_count);
    const int layer = open_.empty() ? -1 : open_.back();
    index_.parameters.push_back({path(name), kind, dims, order, init, index_.value_count, dims.size(), layer, true});
    index_.value_count += padded;
    return nullptr;
}

DLA_ONCE const BufferRow* RowBuilder::declare_buffer(const char* name, const Dims& dims, double initial, const DiskOrder& order, index_t padded) {
    if (bind_) return &index_.buffers[next_buffer_++];
    check_size(name, dims, index_.buffer_count);
    index_.buffers.push_back({path(name), dims, order, initial, index_.buffer_count, dims.size()});
    index_.buffer_count += padded;
    return nullptr;
}

DLA_ONCE const CounterRow* RowBuilder::declare_counter(const char* name) {
    if (bind_) return &index_.counters[next_counter_++];
    index_.counters.push_back({path(name), static_cast<index_t>(index_.counters.size())});
    return nullptr;
}

DLA_ONCE int RowBuilder::declare_mode() {
    if (bind_) return static_cast<int>(next_mode_++);
    index_.modes.push_back({path_});
    return -1;
}

DLA_ONCE void RowBuilder::check_size(const char* name, const Dims& dims, index_t before) const {
    if (dims.size() <= max_values - before) return;
    Text sizes;
    for (int i = 0; i < dims.rank; ++i) sizes.append(i ? ", " : "").append(dims.d[i]);
    fail(ErrorCode::shape, path(name), text("with [", sizes, "] the network has more than ", max_values, " values (2^40)").view());
}

DLA_ONCE void RowBuilder::check_row(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) {
    constexpr index_t max_macs = index_t{1} << 60;
    index_.largest_sample = std::max({index_.largest_sample, in.size(), out.size()});
    macs_ = saturating_add(macs_, facts.macs);
    if (macs_ > max_macs)
        fail(ErrorCode::shape, path_, text("with ", name, " the network takes more than ", max_macs, " multiply-adds for a sample (2^60)").view());
}

DLA_ONCE LayerRow RowBuilder::make_row(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) const {
    return {.path = path_,
            .name = std::string(name.view()),
            .type = std::string(facts.type.view()),
            .settings = to_text(facts.attributes),
            .attributes = facts.attributes,
            .in = in,
            .out = out,
            .macs = facts.macs,
            .depth = static_cast<int>(open_.size()),
            .first_param = index_.parameters.size(),
            .merge = facts.merge,
            .rectifies = facts.rectifies};
}

DLA_ONCE std::string RowBuilder::path(const char* name) const { return path_.empty() ? std::string(name) : path_ + "." + name; }

}  // namespace dla
