#include <cstddef>
#include <cstdint>
#include <span>

#include "comm/messages.h"
#include "wan/error.h"

// Any bytes from another process either are frames whose bodies decode as every kind of message, or throw wan::Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wan::comm;
  const auto attempt = [](auto action) {
    try {
      action();
    } catch (const wan::Error&) {
    }
  };
  const auto decode_all = [&](std::span<const std::byte> body) {
    uint64_t number = 0;
    attempt([&] { decode_hello(body); });
    attempt([&] { decode_welcome(body, 3); });
    attempt([&] { decode_status(body); });
    attempt([&] { decode_verdict(body); });
    attempt([&] { decode_gathered(body, 3, number); });
  };
  attempt([&] {
    FrameReader reader(max_greeting);
    reader.put(std::as_bytes(std::span(data, size)));
    while (const auto frame = reader.next()) decode_all(frame->body);
  });
  decode_all(std::as_bytes(std::span(data, size)));
  return 0;
}
