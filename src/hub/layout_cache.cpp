#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "core/error.h"
#include "hub/files.h"
#include "hub/layout.h"
#include "hub/owner.h"
#include "io/file_descriptor.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

class CacheLayout final : public Layout {
 public:
  CacheLayout(const fs::path& cache, const ModelName& name, std::string commit)
      : root_(repo_folder(cache, name.repo)), revision_(name.revision), commit_(std::move(commit)) {
    make_folders(cache);
    write_cache_tag(cache);
    make_folders(partials());
    make_folders(folder());
  }

  fs::path folder() const override { return root_ / "snapshots" / commit_; }
  fs::path partials() const override { return root_ / "blobs"; }
  std::string stem(const RemoteFile& file) const override { return file.digest.hex; }
  bool shares_content() const override { return true; }
  fs::path home(const RemoteFile& file) const override { return root_ / "blobs" / file.digest.hex; }

  // A blob gets its name only after it was hashed.
  bool is_present(const RemoteFile& file, const std::function<void()>&,
                  const std::function<void(int64_t)>&) const override {
    std::error_code error;
    const auto size = fs::file_size(home(file), error);
    return !error && static_cast<int64_t>(size) == file.size;
  }

  void prepare(const RemoteFile&) const override {}

  void publish(const RemoteFile& file) const override {
    const fs::path link = folder() / file.path;
    make_folders(link.parent_path());
    const fs::path target = fs::path(home(file)).lexically_relative(link.parent_path());
    std::error_code error;
    if (fs::read_symlink(link, error) == target && !error) return;
    if (::symlink(target.c_str(), link.c_str()) == 0) return;
    const fs::path temporary = partials() / fmt::format("{}.{}.link", file.digest.hex, own_name());
    if (errno != EEXIST || ::symlink(target.c_str(), temporary.c_str()) != 0)
      fail(ErrorCode::bad_file, "[{}] the link cannot be made: {}; a file system without links needs --local_dir",
           link.string(), io::describe_errno(errno));
    rename_durably(temporary, link);
  }

  void complete() const override {
    if (revision_ == commit_) return;
    const fs::path ref = root_ / "refs" / revision_;
    std::string old;
    if (std::ifstream(ref) >> old && old == commit_) return;
    make_folders(ref.parent_path());
    replace_file(ref, commit_, partials() / fmt::format("ref.{}.new", own_name()));
  }

 private:
  const fs::path root_;
  const std::string revision_, commit_;
};

}  // namespace

std::unique_ptr<Layout> make_cache_layout(const fs::path& cache, const ModelName& name, const std::string& commit) {
  return std::make_unique<CacheLayout>(cache, name, commit);
}

void write_cache_tag(const fs::path& folder) {
  const fs::path tag = folder / "CACHEDIR.TAG";
  std::error_code error;
  if (fs::exists(tag, error)) return;
  replace_file(tag,
               "Signature: 8a477f597d28d172789f06886806bc55\n"
               "# This file is a cache directory tag created by wan.\n"
               "# For information about cache directory tags, see:\n"
               "#\thttps://bford.info/cachedir/\n",
               folder / fmt::format("CACHEDIR.TAG.{}.new", own_name()));
}

}  // namespace wan::hub
