// Cleans and tokenizes records from standard input, for tools/compare_text.py, which compiles and drives it.
//   compare_text SPIECE_MODEL
// Input record: u32 length, bytes. Output record: u8 ok, u32 length, cleaned prompt or error message,
// u32 count, count i32 token ids.
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "io/text_clean.h"
#include "io/tokenizer.h"
#include "wan/error.h"

namespace {

template <class T>
void put(T value) {
  std::cout.write(reinterpret_cast<const char*>(&value), sizeof value);
}

void put(const std::string& text) {
  put(static_cast<uint32_t>(text.size()));
  std::cout.write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const wan::io::Tokenizer tokenizer = wan::io::Tokenizer::load(argv[1]);
  uint32_t length = 0;
  while (std::cin.read(reinterpret_cast<char*>(&length), sizeof length)) {
    std::string text(length, '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(length));
    uint8_t ok = 1;
    std::vector<int32_t> ids;
    try {
      text = wan::io::clean_prompt(text);
      ids = tokenizer.encode(text);
    } catch (const wan::Error& error) {
      ok = 0;
      text = error.what();
    }
    put(ok);
    put(text);
    put(static_cast<uint32_t>(ids.size()));
    for (const int32_t id : ids) put(id);
  }
}
