#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace wan::app {

/// The command line asks for something that it cannot have; ends with exit status 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Text of a flag to a value. All throw UsageError naming the flag, what came and what was expected.
/// Integers are decimal: "040" is forty, as in Python.
int64_t parse_int64(const std::string& flag, const std::string& text);
int parse_int(const std::string& flag, const std::string& text);
/// A finite number.
double parse_number(const std::string& flag, const std::string& text);
/// yes/no in upstream's spellings: true, t, yes, y, 1, on and their opposites, in any case.
bool parse_bool(const std::string& flag, const std::string& text);
/// "1280*720", "1280x720": width, height.
std::pair<int, int> parse_size(const std::string& flag, const std::string& text);
/// One number for both experts, or "LOW,HIGH": {low, high}.
std::pair<double, double> parse_guidance(const std::string& flag, const std::string& text);

/// "12GB", "12.5GiB", "500MB" or plain bytes: powers of 1000, or of 1024 with an i; in any case, a space is fine.
int64_t parse_bytes(const std::string& flag, const std::string& text);

/// Text that a terminal shows and does not obey: control characters other than newline and tab become \xNN.
std::string printable(const std::string& text);
/// Quoted for a POSIX shell where needed.
std::string shell_quote(const std::string& text);
/// "42s", "7m41s", "2h05m".
std::string duration(double seconds);

}  // namespace wan::app
