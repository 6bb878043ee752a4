#include "io/torch_file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "core/checked.h"
#include "core/error.h"
#include "io/pickle.h"
#include "io/printable.h"
#include "io/zip.h"

namespace wan::io {
namespace {

using Id = Pickle::Id;
using Kind = Pickle::Kind;

constexpr std::string_view ordered_dict = "collections OrderedDict";
constexpr std::string_view rebuild_tensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view rebuild_parameter = "torch._utils _rebuild_parameter";
constexpr size_t max_rank = 16;

constexpr std::pair<std::string_view, DType> storage_types[] = {
    {"torch FloatStorage", DType::f32},  {"torch BFloat16Storage", DType::bf16},      {"torch HalfStorage", DType::f16},
    {"torch DoubleStorage", DType::f64}, {"torch LongStorage", DType::i64},           {"torch IntStorage", DType::i32},
    {"torch ByteStorage", DType::u8},    {"torch.storage UntypedStorage", DType::u8},
};

constexpr auto allowed_globals = [] {
  std::array<std::string_view, 3 + std::size(storage_types)> out{ordered_dict, rebuild_tensor, rebuild_parameter};
  for (size_t i = 0; i < std::size(storage_types); ++i) out[3 + i] = storage_types[i].first;
  return out;
}();

// ---- From the pickle's graph to tensors ----

class StateDictReader {
 public:
  StateDictReader(const Pickle& pickle, const std::string& where) : pickle_(pickle), where_(where) {}

  std::vector<PickledTensor> read() const {
    const Id dict = find_state_dict();
    std::vector<PickledTensor> out;
    const auto items = pickle_.items(dict);
    for (size_t i = 0; i < items.size(); i += 2) {
      if (pickle_.kind(items[i]) != Kind::string) refuse("has a key that is not a string");
      out.push_back(read_tensor(std::string(pickle_.text(items[i])), items[i + 1]));
    }
    return out;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorCode::bad_file, "[{}] {}; a state dict was expected, as torch.save(model.state_dict(), ...) writes",
         where_, what);
  }
  [[noreturn]] void refuse(const std::string& tensor, const std::string& what) const {
    fail(ErrorCode::bad_file, "[{}] tensor {} {}", where_, printable(tensor), what);
  }

  bool is_call_of(Id id, std::string_view global) const {
    return pickle_.kind(id) == Kind::call && pickle_.text(pickle_.callee(id)) == global;
  }
  bool is_dict(Id id) const {
    return pickle_.kind(id) == Kind::dict ||
           (is_call_of(id, ordered_dict) && pickle_.items(pickle_.argument(id)).empty());
  }

  // The dict itself, or the one under "state_dict" or "model".
  Id find_state_dict() const {
    const Id root = pickle_.root();
    if (!is_dict(root)) refuse(fmt::format("holds a {}", to_string(pickle_.kind(root))));
    const auto items = pickle_.items(root);
    for (size_t i = 0; i < items.size(); i += 2) {
      if (pickle_.kind(items[i]) != Kind::string || !is_dict(items[i + 1])) continue;
      const std::string_view key = pickle_.text(items[i]);
      if (key == "state_dict" || key == "model") return items[i + 1];
    }
    return root;
  }

  PickledTensor read_tensor(std::string name, Id value) const {
    if (is_call_of(value, rebuild_parameter)) {
      const auto arguments = pickle_.items(pickle_.argument(value));
      if (arguments.empty()) refuse(name, "is a parameter without data");
      value = arguments[0];
    }
    if (!is_call_of(value, rebuild_tensor)) refuse(fmt::format("entry {} is not a tensor", printable(name)));
    // storage, storage_offset, size, stride, requires_grad, backward_hooks and, lately, metadata
    const auto arguments = pickle_.items(pickle_.argument(value));
    if (arguments.size() < 4) refuse(name, "lacks its storage, size or stride");
    PickledTensor tensor;
    tensor.name = std::move(name);
    read_storage(arguments[0], tensor);
    tensor.storage_offset = read_size(arguments[1], tensor.name);
    tensor.shape = read_sizes(arguments[2], tensor.name);
    tensor.strides = read_sizes(arguments[3], tensor.name);
    if (tensor.shape.size() != tensor.strides.size())
      refuse(tensor.name, "has another number of strides than dimensions");
    return tensor;
  }

  // Persistent id: ("storage", storage type, key, device, number of elements).
  void read_storage(Id id, PickledTensor& tensor) const {
    if (pickle_.kind(id) != Kind::persistent || pickle_.kind(pickle_.argument(id)) != Kind::tuple)
      refuse(tensor.name, "has no storage");
    const auto parts = pickle_.items(pickle_.argument(id));
    const bool well_formed = parts.size() == 5 && pickle_.kind(parts[0]) == Kind::string &&
                             pickle_.text(parts[0]) == "storage" && pickle_.kind(parts[1]) == Kind::global &&
                             pickle_.kind(parts[2]) == Kind::string;
    if (!well_formed) refuse(tensor.name, "has a storage that torch.save does not write");
    const std::string_view type = pickle_.text(parts[1]);
    const auto* known = std::find_if(std::begin(storage_types), std::end(storage_types),
                                     [&](const auto& entry) { return entry.first == type; });
    if (known == std::end(storage_types)) refuse(tensor.name, "has the storage type " + printable(type));
    tensor.dtype = known->second;
    tensor.storage = pickle_.text(parts[2]);
    tensor.storage_numel = read_size(parts[4], tensor.name);
  }

  int64_t read_size(Id id, const std::string& tensor) const {
    if (pickle_.kind(id) != Kind::integer || pickle_.integer(id) < 0)
      refuse(tensor, "has a size, stride or offset that is not a whole number from 0 to 2^63-1");
    return pickle_.integer(id);
  }

  std::vector<int64_t> read_sizes(Id id, const std::string& tensor) const {
    if (pickle_.kind(id) != Kind::tuple || pickle_.items(id).size() > max_rank)
      refuse(tensor, fmt::format("has a shape that is not a tuple of at most {} numbers", max_rank));
    std::vector<int64_t> out;
    for (const Id item : pickle_.items(id)) out.push_back(read_size(item, tensor));
    return out;
  }

  const Pickle& pickle_;
  const std::string& where_;
};

// ---- From the archive to a TensorIndex ----

bool is_contiguous(const PickledTensor& tensor) {
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) return true;
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] == 1) continue;
    if (tensor.strides[i] != expected) return false;
    expected = checked_mul(expected, tensor.shape[i]).value_or(-1);
  }
  return true;
}

// Everything lies in one top folder, which torch names after the file.
std::string find_prefix(const MappedFile& file, const ZipDirectory& zip) {
  std::string prefix;
  int found = 0;
  for (const auto& [name, entry] : zip) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
    prefix = name.substr(0, slash + 1);
    ++found;
  }
  require(found == 1, ErrorCode::bad_file,
          "[{}] is a zip archive with {} members FOLDER/data.pkl, one was expected: it was not written by torch.save",
          file.name(), found);
  require(!zip.contains(prefix + "constants.pkl"), ErrorCode::bad_file,
          "[{}] is a TorchScript program, a state dict was expected: save model.state_dict() with torch.save",
          file.name());
  return prefix;
}

void check_byte_order(const MappedFile& file, const ZipDirectory& zip, const std::string& prefix) {
  const auto it = zip.find(prefix + "byteorder");
  if (it == zip.end()) return;  // torch before 2.0: little on every machine that matters
  const auto bytes = file.read(it->second.offset, std::min<int64_t>(it->second.size, 16));
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(order == "little", ErrorCode::bad_file,
          "[{}] has byte order {}, 'little' was expected: save it again on a little-endian machine", file.name(),
          printable(order));
}

TensorEntry locate(const std::shared_ptr<const MappedFile>& file, const ZipDirectory& zip, const std::string& prefix,
                   const PickledTensor& tensor) {
  const auto refuse = [&](const std::string& what) {
    fail(ErrorCode::bad_file, "[{}] tensor {} {}", file->name(), printable(tensor.name), what);
  };
  const auto it = zip.find(prefix + "data/" + tensor.storage);
  if (it == zip.end())
    refuse(fmt::format("needs storage {}, which the archive lacks: fetch it again", printable(tensor.storage)));
  const ZipEntry& storage = it->second;
  const int64_t element = size_of(tensor.dtype);
  if (checked_mul(tensor.storage_numel, element) != storage.size)
    refuse(fmt::format("has a storage of {} {} elements in {} bytes at offset {}: the file is damaged, fetch it again",
                       tensor.storage_numel, to_string(tensor.dtype), storage.size, storage.offset));
  if (!is_contiguous(tensor))
    refuse(
        fmt::format("has shape {} and strides {}, a contiguous tensor was expected: save it again after .contiguous()",
                    shape_to_string(tensor.shape), shape_to_string(tensor.strides)));
  const auto numel = checked_numel(tensor.shape);
  const auto end = numel ? checked_add(tensor.storage_offset, *numel) : std::nullopt;
  if (!end || *end > tensor.storage_numel)
    refuse(fmt::format("takes {} elements from {} of a storage of {}: the file is damaged, fetch it again",
                       shape_to_string(tensor.shape), tensor.storage_offset, tensor.storage_numel));
  return {tensor.name,     tensor.dtype, tensor.shape, file, storage.offset + tensor.storage_offset * element,
          *numel * element};
}

}  // namespace

std::vector<PickledTensor> read_state_dict(std::span<const std::byte> bytes, const std::string& where) {
  const Pickle pickle = Pickle::parse(bytes, where, allowed_globals);
  return StateDictReader(pickle, where).read();
}

TensorIndex open_torch_file(const std::filesystem::path& path) { return open_torch_file(MappedFile::open(path)); }

TensorIndex open_torch_file(std::shared_ptr<const MappedFile> file) {
  const ZipDirectory zip = read_zip_directory(*file);
  const std::string prefix = find_prefix(*file, zip);
  check_byte_order(*file, zip, prefix);
  const ZipEntry& pickle = zip.at(prefix + "data.pkl");
  require(pickle.size <= PickleLimits{}.max_bytes, ErrorCode::bad_file,
          "[{}] has a pickle of {}, at most {} are accepted", file->name(), human_bytes(pickle.size),
          human_bytes(PickleLimits{}.max_bytes));
  TensorIndex index(file->name());
  for (const PickledTensor& tensor : read_state_dict(file->read(pickle.offset, pickle.size), file->name()))
    index.add(locate(file, zip, prefix, tensor));
  return index;
}

}  // namespace wan::io
