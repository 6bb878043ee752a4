#include "io/json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/error.h"
#include "io/mapped_file.h"
#include "io/printable.h"

namespace wan::io {
namespace {

using Json = nlohmann::json;

// Receives nlohmann's parser events (its SAX interface) and builds the document within the limits. The parser keeps
// its own stack on the heap, so depth costs no C++ stack.
class Builder {
 public:
  Builder(const std::string& where, const JsonLimits& limits) : where_(where), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() { return place(nullptr); }
  bool boolean(bool value) { return place(value); }
  bool number_integer(Json::number_integer_t value) { return place(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return place(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return place(value); }
  bool string(std::string& value) { return place(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool end_object() { return close(); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    require(!open_.back()->contains(name), ErrorCode::bad_file, "[{}] the key {} occurs twice in one object", where_,
            printable(name));
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string& token, const nlohmann::detail::exception&) {
    fail(ErrorCode::bad_file, "[{}] is not valid JSON at byte {} (near {}): fetch or write the file again", where_,
         position, printable(token));
  }

 private:
  bool place(Json value) {
    insert(std::move(value));
    return true;
  }

  Json& insert(Json value) {
    require(++values_ <= limits_.max_values, ErrorCode::bad_file, "[{}] has more than {} JSON values", where_,
            limits_.max_values);
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_object()) return parent[key_] = std::move(value);
    parent.push_back(std::move(value));
    return parent.back();
  }

  bool open(Json container) {
    require(static_cast<int>(open_.size()) < limits_.max_depth, ErrorCode::bad_file,
            "[{}] JSON is nested deeper than {} levels", where_, limits_.max_depth);
    open_.push_back(&insert(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  const JsonLimits& limits_;
  Json root_;
  std::vector<Json*> open_;  // a parent does not grow while its child is open, so these stay valid
  std::string key_;
  int64_t values_ = 0;
};

std::string describe(const Json& value) {
  if (value.is_structured()) return value.is_array() ? "an array" : "an object";
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  return text;
}

}  // namespace

Json parse_json(std::span<const std::byte> text, const std::string& where, const JsonLimits& limits) {
  require(static_cast<int64_t>(text.size()) <= limits.max_bytes, ErrorCode::bad_file,
          "[{}] has {} of JSON, at most {} are accepted", where, human_bytes(static_cast<int64_t>(text.size())),
          human_bytes(limits.max_bytes));
  Builder builder(where, limits);
  const auto* begin = reinterpret_cast<const char*>(text.data());
  Json::sax_parse(begin, begin + text.size(), &builder);
  return builder.take();
}

Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  const auto file = MappedFile::open(path);
  require(file->size() <= limits.max_bytes, ErrorCode::bad_file, "[{}] has {}, at most {} of JSON are accepted",
          file->name(), human_bytes(file->size()), human_bytes(limits.max_bytes));
  return parse_json(file->read(0, file->size()), file->name(), limits);
}

JsonReader::JsonReader(const Json& object, std::string where) : object_(&object), where_(std::move(where)) {
  require(object.is_object(), ErrorCode::bad_file, "[{}] is {}, expected a JSON object", where_, describe(object));
}

const Json* JsonReader::find(std::string_view key) const {
  const auto it = object_->find(std::string(key));
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

bool JsonReader::has(std::string_view key) const { return find(key) != nullptr; }

void JsonReader::fail_type(std::string_view key, const Json* value, std::string_view expected) const {
  fail(ErrorCode::bad_file, "[{}] '{}' is {}, expected {}", where_, key, value ? describe(*value) : "missing",
       expected);
}

template <class T, class Get>
T JsonReader::get(std::string_view key, std::optional<T> fallback, std::string_view expected, Get get_value) const {
  const Json* value = find(key);
  if (value == nullptr && fallback) return *std::move(fallback);
  std::optional<T> result = value ? get_value(*value) : std::nullopt;
  if (!result) fail_type(key, value, expected);
  return *std::move(result);
}

int64_t JsonReader::positive_int(std::string_view key, std::optional<int64_t> fallback) const {
  return get<int64_t>(key, fallback, "a positive integer", [](const Json& v) -> std::optional<int64_t> {
    if (!v.is_number_unsigned() || v.get<uint64_t>() < 1 || v.get<uint64_t>() > std::numeric_limits<int32_t>::max())
      return std::nullopt;
    return v.get<int64_t>();
  });
}

int64_t JsonReader::integer(std::string_view key, std::optional<int64_t> fallback) const {
  return get<int64_t>(key, fallback, "an integer", [](const Json& v) -> std::optional<int64_t> {
    if (!v.is_number_integer() || (v.is_number_unsigned() && v.get<uint64_t>() > std::numeric_limits<int64_t>::max()))
      return std::nullopt;
    return v.get<int64_t>();
  });
}

double JsonReader::number(std::string_view key, std::optional<double> fallback) const {
  return get<double>(key, fallback, "a number", [](const Json& v) -> std::optional<double> {
    return v.is_number() ? std::optional(v.get<double>()) : std::nullopt;
  });
}

double JsonReader::positive_number(std::string_view key, std::optional<double> fallback) const {
  return get<double>(key, fallback, "a positive number", [](const Json& v) -> std::optional<double> {
    return v.is_number() && v.get<double>() > 0 ? std::optional(v.get<double>()) : std::nullopt;
  });
}

bool JsonReader::boolean(std::string_view key, std::optional<bool> fallback) const {
  return get<bool>(key, fallback, "true or false", [](const Json& v) -> std::optional<bool> {
    return v.is_boolean() ? std::optional(v.get<bool>()) : std::nullopt;
  });
}

std::string JsonReader::string(std::string_view key, std::optional<std::string> fallback) const {
  return get<std::string>(key, std::move(fallback), "a string", [](const Json& v) -> std::optional<std::string> {
    return v.is_string() ? std::optional(v.get<std::string>()) : std::nullopt;
  });
}

}  // namespace wan::io
