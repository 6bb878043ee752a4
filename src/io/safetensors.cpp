#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "io/json.h"
#include "io/printable.h"
#include "io/wrong_content.h"

namespace wan::io {
namespace {

using Json = nlohmann::json;

constexpr int64_t length_bytes = 8;
constexpr int64_t max_header_bytes = 100'000'000;
// A tensor takes about ten JSON values; this is room for 200,000 tensors, and bounds what a header can make us
// allocate.
constexpr JsonLimits header_limits{.max_bytes = max_header_bytes, .max_depth = 4, .max_values = 2'000'000};

static_assert(std::endian::native == std::endian::little, "checkpoint data is used as it lies in the file");

std::optional<DType> dtype_from_name(const std::string& name) {
  static constexpr std::pair<const char*, DType> known[] = {
      {"F32", DType::f32}, {"BF16", DType::bf16}, {"F16", DType::f16}, {"F64", DType::f64},
      {"I64", DType::i64}, {"I32", DType::i32},   {"U8", DType::u8},
  };
  for (const auto& [text, dtype] : known)
    if (name == text) return dtype;
  return std::nullopt;
}

int64_t read_header_length(const MappedFile& file) {
  require(file.size() >= length_bytes, ErrorCode::bad_file,
          "[{}] has {} bytes, a safetensors file was expected: download it again", file.name(), file.size());
  uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > static_cast<uint64_t>(max_header_bytes) || length < 2) {
    const std::string why = explain_wrong_content(file);
    fail(ErrorCode::bad_file, "[{}] is not a safetensors file (header of {} bytes, at most {} are possible){}{}",
         file.name(), length, max_header_bytes, why.empty() ? "" : ": ", why);
  }
  const auto header_end = length_bytes + static_cast<int64_t>(length);
  require(
      header_end <= file.size(), ErrorCode::bad_file,
      "[{}] is truncated or still downloading: it has {} bytes and its header alone needs {}; finish the download or "
      "fetch the file again",
      file.name(), file.size(), header_end);
  return static_cast<int64_t>(length);
}

// The members of one tensor's description; offsets are relative to the end of the header.
class Description {
 public:
  Description(const MappedFile& file, const std::string& name, const Json& value)
      : file_(file), name_(name), value_(value) {
    if (!value.is_object()) refuse("is not described by an object");
    for (const auto& [key, member] : value.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets") refuse("has the unknown member " + printable(key));
  }

  DType dtype() const {
    const Json& text = member("dtype");
    if (!text.is_string()) refuse("has a dtype that is not a string");
    const auto dtype = dtype_from_name(text.get_ref<const std::string&>());
    if (!dtype)
      refuse("has dtype " + printable(text.get_ref<const std::string&>()) +
             ", expected one of F32, BF16, F16, F64, I64, I32, U8");
    return *dtype;
  }

  std::vector<int64_t> shape() const {
    const Json& dims = member("shape");
    if (!dims.is_array()) refuse("has a shape that is not an array");
    std::vector<int64_t> out;
    for (const Json& d : dims) out.push_back(size(d, "a dimension"));
    return out;
  }

  std::pair<int64_t, int64_t> offsets() const {
    const Json& pair = member("data_offsets");
    if (!pair.is_array() || pair.size() != 2) refuse("has data_offsets that are not a pair");
    const int64_t begin = size(pair[0], "the offset");
    const int64_t end = size(pair[1], "the offset");
    if (end < begin) refuse(fmt::format("ends at offset {}, before its begin at {}", end, begin));
    return {begin, end};
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorCode::bad_file, "[{}] tensor {} {}: the file is damaged, fetch it again", file_.name(), printable(name_),
         what);
  }

  const Json& member(const char* key) const {
    const auto it = value_.find(key);
    if (it == value_.end()) refuse(fmt::format("has no {}", key));
    return *it;
  }

  int64_t size(const Json& v, const char* what) const {
    if (!v.is_number_unsigned() || v.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
      refuse(fmt::format("has {} {}, expected 0 to 2^63-1", what, printable(v.dump(-1, ' ', true))));
    return v.get<int64_t>();
  }

  const MappedFile& file_;
  const std::string& name_;
  const Json& value_;
};

std::map<std::string, std::string> read_metadata(const MappedFile& file, const Json& value) {
  std::map<std::string, std::string> out;
  const bool all_strings =
      value.is_object() && std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_string(); });
  require(all_strings, ErrorCode::bad_file, "[{}] __metadata__ must map strings to strings", file.name());
  for (const auto& [key, text] : value.items()) out.emplace(key, text.get<std::string>());
  return out;
}

// The tensors must follow each other without gap or overlap, from the end of the header to the end of the file.
void check_layout(const MappedFile& file, std::vector<TensorEntry>& entries, int64_t data_begin) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.nbytes) < std::pair(b.offset, b.nbytes);
  });
  int64_t end = data_begin;
  const TensorEntry* previous = nullptr;
  for (const TensorEntry& entry : entries) {
    require(entry.offset == end, ErrorCode::bad_file,
            "[{}] tensor {} begins at offset {}, where {} was expected ({} {}): the file is damaged, fetch it again",
            file.name(), printable(entry.name), entry.offset - data_begin, end - data_begin,
            entry.offset < end ? "it overlaps" : "there is a gap after",
            previous ? printable(previous->name) : "the header");
    end = entry.offset + entry.nbytes;
    previous = &entry;
  }
  require(file.size() >= end, ErrorCode::bad_file,
          "[{}] file is {}: it is truncated or still downloading; finish the download or fetch it again", file.name(),
          human_bytes_of(file.size(), end));
  require(file.size() == end, ErrorCode::bad_file,
          "[{}] has {} bytes after its last tensor, none were expected: the file is damaged, fetch it again",
          file.name(), file.size() - end);
}

}  // namespace

SafetensorsFile open_safetensors(const std::filesystem::path& path) { return open_safetensors(MappedFile::open(path)); }

SafetensorsFile open_safetensors(std::shared_ptr<const MappedFile> file) {
  const int64_t header_length = read_header_length(*file);
  const int64_t data_begin = length_bytes + header_length;
  const std::vector<std::byte> text = file->read(length_bytes, header_length);
  require(text[0] == std::byte{'{'}, ErrorCode::bad_file, "[{}] is not a safetensors file: its header is not JSON",
          file->name());
  const Json header = parse_json(text, file->name(), header_limits);

  SafetensorsFile out{TensorIndex(file->name()), {}};
  std::vector<TensorEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      out.metadata = read_metadata(*file, value);
      continue;
    }
    const Description description(*file, name, value);
    const auto [begin, end] = description.offsets();
    require(checked_add(data_begin, end).has_value(), ErrorCode::bad_file,
            "[{}] tensor {} ends at offset {}, which no file can have: the file is damaged, fetch it again",
            file->name(), printable(name), end);
    entries.push_back({name, description.dtype(), description.shape(), file, data_begin + begin, end - begin});
  }
  check_layout(*file, entries, data_begin);
  for (TensorEntry& entry : entries) out.tensors.add(std::move(entry));
  return out;
}

}  // namespace wan::io
