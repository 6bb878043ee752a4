#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "hub/model_name.h"
#include "hub/partial.h"
#include "hub/source.h"

namespace wan::hub {

/// Where files go, in the way that huggingface_hub finds them too. Thread-safe for different files.
class Layout {
 public:
  virtual ~Layout() = default;
  /// The finished model.
  virtual std::filesystem::path folder() const = 0;
  /// The folder for partial files, of the same file system, and the start of their names.
  virtual std::filesystem::path partials() const = 0;
  virtual std::string stem(const RemoteFile& file) const = 0;
  /// Files with the same content have one home.
  virtual bool shares_content() const = 0;
  /// Where the content goes.
  virtual std::filesystem::path home(const RemoteFile& file) const = 0;
  /// Whether the right content is there. May have to hash it; `on_hash` is told before, `on_bytes` of each piece.
  virtual bool is_present(const RemoteFile& file, const std::function<void()>& on_hash,
                          const std::function<void(int64_t)>& on_bytes) const = 0;
  /// Makes folders for a file that is to come.
  virtual void prepare(const RemoteFile& file) const = 0;
  /// Whether `file` becomes another file once it is there, so that for a while there are both; see take().
  virtual bool converts(const RemoteFile&) const { return false; }
  /// Brings verified content home. `on_bytes` is told of pieces of longer work, and may throw to stop.
  virtual void take(Partial& partial, const RemoteFile& file, const std::function<void(int64_t)>& on_bytes) const;
  /// The content is at home: makes the file visible under its path, or notes where it is from.
  virtual void publish(const RemoteFile& file) const = 0;
  /// All files are there.
  virtual void complete() const = 0;
};

/// models--Org--Name/{blobs/HASH, snapshots/COMMIT/PATH -> relative link, refs/REVISION}.
std::unique_ptr<Layout> make_cache_layout(const std::filesystem::path& cache, const ModelName& name,
                                          const std::string& commit);
/// Plain files, with .cache/huggingface/download/PATH.metadata (commit, hash, time) beside them.
std::unique_ptr<Layout> make_folder_layout(const std::filesystem::path& folder, const std::string& commit);

/// The same, but shards of transformers become bf16 (see io/tensor_names.h) as soon as they are verified. What a file
/// was and is stands in .cache/huggingface/download/PATH.bf16.json: the hub's hash, and sha256 and size of what it
/// became.
std::unique_ptr<Layout> make_bf16_folder_layout(const std::filesystem::path& folder, const std::string& commit);
/// Where that stands.
std::filesystem::path bf16_record(const std::filesystem::path& folder, const std::string& path);

/// The tag by which backup programs know a cache, if there is none yet.
void write_cache_tag(const std::filesystem::path& folder);

}  // namespace wan::hub
