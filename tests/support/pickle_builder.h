#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "support/bytes.h"

namespace wan::test {

/// Pieces of pickle protocol 2; a pickle is their concatenation between pickle_begin and ".".
inline const std::string pickle_begin = "\x80\x02";

inline std::string pickle_text(const std::string& text) {
  return std::string("X") + little(static_cast<uint32_t>(text.size())) + text;
}
inline std::string pickle_global(const std::string& module, const std::string& name) {
  return std::string("c") + module + "\n" + name + "\n";
}
inline std::string pickle_int(int64_t value) { return std::string("\x8a\x08", 2) + little(value); }
inline std::string pickle_tuple(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (const int64_t v : values) out += pickle_int(v);
  return out + "t";
}

struct PickledTensorParts {
  std::string type = "FloatStorage";
  std::string key = "0";
  int64_t numel = 6;
  int64_t offset = 0;
  std::vector<int64_t> shape = {2, 3};
  std::vector<int64_t> strides = {3, 1};
  std::string module = "torch";
};

/// The call that torch.save writes for a tensor.
inline std::string pickle_tensor(const PickledTensorParts& p) {
  return pickle_global("torch._utils", "_rebuild_tensor_v2") + "((" + pickle_text("storage") +
         pickle_global(p.module, p.type) + pickle_text(p.key) + pickle_text("cpu") + pickle_int(p.numel) + "tQ" +
         pickle_int(p.offset) + pickle_tuple(p.shape) + pickle_tuple(p.strides) + "\x89" +
         pickle_global("collections", "OrderedDict") + ")R" + "tR";
}

/// {"w": tensor}
inline std::string pickle_state_dict(const PickledTensorParts& p) {
  return pickle_begin + "}" + pickle_text("w") + pickle_tensor(p) + "s.";
}

}  // namespace wan::test
