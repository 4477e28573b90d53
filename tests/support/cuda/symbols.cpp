// SPDX-License-Identifier: MIT
#include "symbols.hpp"

#include <cxxabi.h>
#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>

extern "C" {
extern std::byte dla_shared_begin[] asm("__start_dla_shared") __attribute__((weak, visibility("hidden")));
}

namespace emulated {
namespace {

/// A name as the source has it, without parameters: `dla_cuda_fill`, `dla_cuda_add_up::room`.
std::string plain(const char* name) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
    std::string found = status == 0 ? text.get() : name;
    const std::size_t open = found.find('('), close = found.rfind(')');
    if (open != std::string::npos) found.erase(open, close - open + 1);
    return found;
}

std::vector<SharedVariable> read_variables() {
    if (dla_shared_begin == nullptr) return {};
    std::ifstream in("/proc/self/exe", std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const auto read = [&]<class T>(std::size_t at, T value) {
        std::memcpy(&value, file.data() + at, sizeof value);
        return value;
    };
    const auto header = read(0, Elf64_Ehdr{});
    const auto section = [&](std::size_t i) { return read(header.e_shoff + i * sizeof(Elf64_Shdr), Elf64_Shdr{}); };
    const char* names = file.data() + section(header.e_shstrndx).sh_offset;
    std::size_t shared = 0, table = 0;
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        if (std::string_view(names + section(i).sh_name) == "dla_shared") shared = i;
        if (section(i).sh_type == SHT_SYMTAB) table = i;
    }
    if (table == 0 || shared == 0) throw std::runtime_error("emulated device: the program has no table of symbols; do not strip it");
    const std::byte* loaded_at = dla_shared_begin - section(shared).sh_addr;
    const char* texts = file.data() + section(section(table).sh_link).sh_offset;
    const auto each_symbol = [&](const auto& call) {
        for (std::size_t i = 0; i < section(table).sh_size / sizeof(Elf64_Sym); ++i) {
            const auto symbol = read(section(table).sh_offset + i * sizeof(Elf64_Sym), Elf64_Sym{});
            call(symbol, texts + symbol.st_name, loaded_at + symbol.st_value);
        }
    };
    std::vector<SharedVariable> found;
    std::vector<std::string> functions;
    each_symbol([&](const Elf64_Sym& symbol, const char* name, const std::byte* where) {
        if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT || symbol.st_shndx != shared) return;
        const std::string text = plain(name);
        const std::size_t colons = text.rfind("::");
        functions.push_back(colons == std::string::npos ? "" : text.substr(0, colons));
        found.push_back({where, symbol.st_size, colons == std::string::npos ? text : text.substr(colons + 2), nullptr});
    });
    each_symbol([&](const Elf64_Sym& symbol, const char* name, const std::byte* where) {
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) return;
        if (std::strstr(name, "_cuda_") == nullptr && std::strstr(name, "watched_") == nullptr) return;  // what may be a kernel
        const std::string text = plain(name);
        for (std::size_t i = 0; i < found.size(); ++i)
            if (functions[i] == text) found[i].function = where;
    });
    return found;
}

}  // namespace

const std::vector<SharedVariable>& shared_variables() {
    static const std::vector<SharedVariable>& the_variables = *new std::vector<SharedVariable>(read_variables());
    return the_variables;
}

}  // namespace emulated
