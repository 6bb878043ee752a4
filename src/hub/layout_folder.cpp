#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <system_error>

#include "core/error.h"
#include "hub/files.h"
#include "hub/layout.h"
#include "hub/owner.h"
#include "io/file_descriptor.h"
#include "io/fingerprint.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

class FolderLayout final : public Layout {
 public:
  FolderLayout(fs::path folder, std::string commit)
      : folder_(std::move(folder)), own_(folder_ / ".cache" / "huggingface"), commit_(std::move(commit)) {
    make_folders(partials());
    write_cache_tag(own_);
    std::error_code error;
    if (!fs::exists(own_ / ".gitignore", error)) replace_file(own_ / ".gitignore", "*", temporary(".gitignore"));
  }

  fs::path folder() const override { return folder_; }
  fs::path partials() const override { return own_ / "download"; }
  bool shares_content() const override { return false; }
  fs::path home(const RemoteFile& file) const override { return folder_ / file.path; }

  // Two paths may have the same content.
  std::string stem(const RemoteFile& file) const override {
    io::Fingerprint path;
    path.add(std::string_view(file.path));
    return path.hex() + "." + file.digest.hex;
  }

  bool is_present(const RemoteFile& file, const std::function<void()>& on_hash,
                  const std::function<void(int64_t)>& on_bytes) const override {
    struct stat status {};
    const fs::path path = home(file);
    std::error_code error;
    require(!fs::exists(bf16_record(folder_, file.path), error), ErrorCode::invalid_argument,
            "[{}] was converted to bf16 by an earlier download; give --bf16 again, or another --local_dir",
            path.string());
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != file.size) return false;
    if (is_noted(file, status)) return true;
    on_hash();
    const io::FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return fd && hash_file(fd.get(), file.digest.kind, file.size, path.string(), on_bytes) == file.digest.hex;
  }

  void prepare(const RemoteFile& file) const override {
    make_folders(home(file).parent_path());
    std::error_code error;
    require(!fs::is_directory(home(file), error), ErrorCode::invalid_argument,
            "[{}] is a folder, a file of this name is to come: choose another --local_dir", home(file).string());
  }

  void publish(const RemoteFile& file) const override {
    make_folders(metadata(file).parent_path());
    replace_file(metadata(file), fmt::format("{}\n{}\n{:.6f}\n", commit_, file.digest.hex, now()),
                 temporary(stem(file)));
  }

  void complete() const override {}

 private:
  fs::path metadata(const RemoteFile& file) const { return partials() / (file.path + ".metadata"); }
  fs::path temporary(const std::string& what) const { return partials() / fmt::format("{}.{}.note", what, own_name()); }

  // The content was verified when the note was written, and has not been changed since.
  bool is_noted(const RemoteFile& file, const struct stat& status) const {
    std::ifstream in(metadata(file));
    std::string commit, hash;
    double time = 0;
    if (!(in >> commit >> hash >> time) || hash != file.digest.hex) return false;
    const double changed =
        static_cast<double>(status.st_mtim.tv_sec) + static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
    return changed - 1 <= time;
  }

  const fs::path folder_, own_;
  const std::string commit_;
};

}  // namespace

fs::path bf16_record(const fs::path& folder, const std::string& path) {
  return folder / ".cache" / "huggingface" / "download" / (path + ".bf16.json");
}

void Layout::take(Partial& partial, const RemoteFile& file, const std::function<void(int64_t)>&) const {
  partial.move_to(home(file));
}

std::unique_ptr<Layout> make_folder_layout(const fs::path& folder, const std::string& commit) {
  return std::make_unique<FolderLayout>(folder, commit);
}

}  // namespace wan::hub
