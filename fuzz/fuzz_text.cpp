// Cleans arbitrary bytes as a prompt. Besides memory safety: what comes out is clean already.
#include <cstdint>
#include <cstdlib>

#include "io/text_clean.h"
#include "wan/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string cleaned;
  try {
    cleaned = wan::io::clean_prompt({reinterpret_cast<const char*>(data), size});
  } catch (const wan::Error& error) {
    return error.code() == wan::ErrorCode::invalid_argument ? 0 : -1;
  }
  if (cleaned.find_first_of(std::string_view("\n\t\r\f\v", 5)) != std::string::npos) std::abort();
  if (!cleaned.empty() && (cleaned.front() == ' ' || cleaned.back() == ' ')) std::abort();
  return 0;
}
