// SPDX-License-Identifier: MIT
// Questions to the rows of a model.
#pragma once

#include <dla/core/edit_distance.hpp>

#include <algorithm>

namespace dla {

DLA_ONCE index_t ParamIndex::checked_batch(index_t batch) const {
    if (batch < 0 || saturating_mul(batch, largest_sample) > max_values)
        fail(ErrorCode::shape, "model",
             text("a batch of ", batch, " samples, of up to ", largest_sample, " values in a layer; expected 0 or more and at most ", max_values,
                  " values in all")
                 .view());
    return batch;
}

DLA_ONCE const ParamRow& ParamIndex::parameter(std::string_view path) const {
    for (const ParamRow& row : parameters)
        if (row.path == path) return row;
    if (parameters.empty()) fail(ErrorCode::model, path, "no parameter has this path; the model has no parameters");
    const auto distance = [path](const ParamRow& row) { return detail::edit_distance(row.path, path); };
    fail(ErrorCode::model, path, "no parameter has this path; did you mean " + std::ranges::min_element(parameters, {}, distance)->path + "?");
}

}  // namespace dla
