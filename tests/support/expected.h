#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace wan::test {

/// The expected values of a test: a safetensors file read whole, without the library's own reader, so that tests of
/// lower layers depend on nothing above them. Trusts the file.
class Expected {
 public:
  explicit Expected(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot open " + path);
    const std::string file((std::istreambuf_iterator<char>(in)), {});
    uint64_t header = 0;
    std::memcpy(&header, file.data(), sizeof header);
    const auto json = nlohmann::json::parse(file.substr(sizeof header, header));
    for (const auto& [name, entry] : json.items()) {
      if (name == "__metadata__") continue;
      const size_t begin = entry["data_offsets"][0];
      const size_t end = entry["data_offsets"][1];
      tensors_[name] = {entry["dtype"], entry["shape"], file.substr(sizeof header + header + begin, end - begin)};
    }
  }

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, entry] : tensors_) all.push_back(name);
    return all;
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  std::vector<int64_t> shape(const std::string& name) const { return at(name).shape; }
  std::string dtype(const std::string& name) const { return at(name).dtype; }
  std::vector<float> f32(const std::string& name) const { return read<float>(name, "F32"); }
  std::vector<int32_t> i32(const std::string& name) const { return read<int32_t>(name, "I32"); }
  std::vector<int64_t> i64(const std::string& name) const { return read<int64_t>(name, "I64"); }

 private:
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string bytes;
  };

  const Entry& at(const std::string& name) const {
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) throw std::runtime_error("no tensor " + name);
    return it->second;
  }

  template <class T>
  std::vector<T> read(const std::string& name, const char* dtype) const {
    const Entry& e = at(name);
    if (e.dtype != dtype) throw std::runtime_error(name + " is " + e.dtype);
    std::vector<T> out(e.bytes.size() / sizeof(T));
    std::memcpy(out.data(), e.bytes.data(), e.bytes.size());
    return out;
  }

  std::map<std::string, Entry> tensors_;
};

/// ||a - b|| / ||b||, in float64.
inline double relative_l2(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) throw std::runtime_error("sizes differ");
  double diff = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    diff += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
    norm += double(b[i]) * double(b[i]);
  }
  return std::sqrt(diff / norm);
}

}  // namespace wan::test
