#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wan::io {

/// Bounds on what a pickle may make us build. A state dict of 1,300 tensors has about 30,000 values.
struct PickleLimits {
  int64_t max_bytes = 16 << 20;
  int64_t max_values = 2'000'000;
};

/// The values of a pickle, as a graph of plain data. Nothing is imported and nothing is called: a global is its name, a
/// call is a node that says what would have been called with which arguments. Reading is iterative, and so is freeing
/// (nodes are indices into flat arrays), so nesting costs no C++ stack.
class Pickle {
 public:
  using Id = uint32_t;
  enum class Kind : uint8_t { none, boolean, integer, real, string, tuple, list, dict, global, call, persistent };

  /// Reads protocol 2 with the opcodes that torch.save uses. Throws bad_file, naming the offset, for anything else, and
  /// for every global that is not in `allowed_globals` ("collections OrderedDict": module, space, name), naming it.
  /// `bytes` and the texts of `allowed_globals` must outlive the result; `where` names the file in errors.
  static Pickle parse(std::span<const std::byte> bytes, const std::string& where,
                      std::span<const std::string_view> allowed_globals, const PickleLimits& limits = {});

  Id root() const noexcept { return root_; }
  Kind kind(Id id) const { return nodes_[id].kind; }
  /// integer, boolean
  int64_t integer(Id id) const { return nodes_[id].value; }
  /// string; global ("module name")
  std::string_view text(Id id) const { return nodes_[id].text; }
  /// tuple and list: the elements. dict and call: keys and values alternating (those set on the result of a call).
  std::span<const Id> items(Id id) const { return containers_[static_cast<size_t>(nodes_[id].value)]; }
  /// call: the global
  Id callee(Id id) const { return nodes_[id].first; }
  /// call: the tuple of arguments. persistent: the persistent id.
  Id argument(Id id) const { return nodes_[id].second; }

 private:
  friend class PickleMachine;

  struct Node {
    Kind kind = Kind::none;
    Id first = 0;
    Id second = 0;
    int64_t value = 0;  // the integer, or the index into containers_
    std::string_view text;
  };

  std::vector<Node> nodes_;
  std::vector<std::vector<Id>> containers_;
  Id root_ = 0;
};

/// "tuple", "persistent id"
std::string_view to_string(Pickle::Kind kind) noexcept;

}  // namespace wan::io
