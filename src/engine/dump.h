#pragma once
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "core/context.h"
#include "io/safetensors_writer.h"

namespace wan::engine {

/// Collects intermediates into a safetensors file (--dump). Without a path it does nothing.
/// A name keeps the first value that it was given: the blocks' taps show the first forward.
class Dump {
 public:
  explicit Dump(const std::filesystem::path& path) {
    if (!path.empty()) writer_.emplace(path);
  }
  bool wanted() const noexcept { return writer_.has_value(); }
  void add(std::string_view name, const Tensor& value, MemoryResource& memory);
  void add_ids(const std::string& name, std::span<const int32_t> ids);
  void commit() {
    if (writer_) writer_->commit();
  }

 private:
  std::optional<io::SafetensorsWriter> writer_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace wan::engine
