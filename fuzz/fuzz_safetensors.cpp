#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/safetensors.h"
#include "wan/error.h"

// Any bytes either open as a safetensors file whose tensors can all be read, or throw wan::Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  try {
    const auto file = wan::io::MappedFile::from_memory("input", {bytes, bytes + size});
    const wan::io::TensorIndex tensors = wan::io::open_safetensors(file).tensors;
    for (const auto& [name, entry] : tensors.entries()) {
      std::vector<std::byte> copy(static_cast<size_t>(entry.nbytes));
      wan::io::read_bytes(entry, copy);
    }
  } catch (const wan::Error&) {
  }
  return 0;
}
