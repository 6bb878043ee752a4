#include <cstddef>
#include <cstdint>
#include <span>

#include "io/torch_file.h"
#include "wan/error.h"

// Any bytes either read as a pickled state dict or throw wan::Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    wan::io::read_state_dict(std::as_bytes(std::span(data, size)), "input");
  } catch (const wan::Error&) {
  }
  return 0;
}
