#include <cstddef>
#include <cstdint>

#include "io/torch_file.h"
#include "io/zip.h"
#include "wan/error.h"

// Any bytes either open as an archive whose members lie inside it, and perhaps as a state dict whose tensors can be
// read, or throw wan::Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto file = wan::io::MappedFile::from_memory("input", {bytes, bytes + size});
  try {
    for (const auto& [name, entry] : wan::io::read_zip_directory(*file)) file->read(entry.offset, entry.size);
    const wan::io::TensorIndex tensors = wan::io::open_torch_file(file);
    for (const auto& [name, entry] : tensors.entries()) wan::io::bytes(entry);
  } catch (const wan::Error&) {
  }
  return 0;
}
