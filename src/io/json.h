#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace wan::io {

/// Bounds on what a JSON text may make us build; a config.json has some twenty values.
struct JsonLimits {
  int64_t max_bytes = 16 << 20;
  int max_depth = 32;
  int64_t max_values = 1'000'000;
};

/// RFC 8259 JSON (no comments, valid UTF-8). Duplicate keys are refused, because readers disagree on which one counts.
/// `where` names the text in errors, which have code bad_file.
nlohmann::json parse_json(std::span<const std::byte> text, const std::string& where, const JsonLimits& limits = {});
nlohmann::json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// Typed access to a JSON object. A missing key (or null) gives the fallback, or an error without one; a value of
/// another type is always an error: "[config.json] 'dim' is "x", expected a positive integer".
class JsonReader {
 public:
  /// `object` must outlive the reader.
  JsonReader(const nlohmann::json& object, std::string where);

  bool has(std::string_view key) const;
  /// 1 to 2^31-1.
  int64_t positive_int(std::string_view key, std::optional<int64_t> fallback = {}) const;
  int64_t integer(std::string_view key, std::optional<int64_t> fallback = {}) const;
  double number(std::string_view key, std::optional<double> fallback = {}) const;
  double positive_number(std::string_view key, std::optional<double> fallback = {}) const;
  bool boolean(std::string_view key, std::optional<bool> fallback = {}) const;
  std::string string(std::string_view key, std::optional<std::string> fallback = {}) const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  [[noreturn]] void fail_type(std::string_view key, const nlohmann::json* value, std::string_view expected) const;
  template <class T, class Get>
  T get(std::string_view key, std::optional<T> fallback, std::string_view expected, Get get_value) const;

  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace wan::io
