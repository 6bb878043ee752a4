#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "io/json.h"
#include "wan/error.h"

// Any bytes either parse as JSON whose members can be asked for as any type, or throw wan::Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto document = wan::io::parse_json(std::as_bytes(std::span(data, size)), "config.json");
    const wan::io::JsonReader reader(document, "config.json");
    for (auto it = document.begin(); it != document.end(); ++it) {
      const std::string& key = it.key();
      const auto ask = [](auto get) {
        try {
          get();
        } catch (const wan::Error&) {
        }
      };
      ask([&] { reader.positive_int(key, 1); });
      ask([&] { reader.integer(key, 1); });
      ask([&] { reader.number(key, 1.0); });
      ask([&] { reader.boolean(key, true); });
      ask([&] { reader.string(key, "x"); });
    }
  } catch (const wan::Error&) {
  }
  return 0;
}
