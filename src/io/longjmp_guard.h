#pragma once
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>

namespace wan::io {

/// libpng and libjpeg report errors by a call that must not return. guarded() is the only place that catches the
/// longjmp out of it; what runs inside must own nothing that has a destructor.
class LongjmpGuard {
 public:
  LongjmpGuard(const LongjmpGuard&) = delete;
  LongjmpGuard& operator=(const LongjmpGuard&) = delete;

  /// Runs `step`; false if it left by leave(), and then message() says why.
  template <class F>
  bool guarded(F step) {
    if (setjmp(jump_)) return false;
    step();
    return true;
  }
  const char* message() const { return message_.data(); }

 protected:
  LongjmpGuard() = default;
  ~LongjmpGuard() = default;
  [[noreturn]] void leave(const char* why) {
    const size_t length = std::min(std::strlen(why), message_.size() - 1);
    std::memcpy(message_.data(), why, length);
    message_[length] = '\0';
    std::longjmp(jump_, 1);
  }

 private:
  std::jmp_buf jump_;
  std::array<char, 200> message_{};
};

}  // namespace wan::io
