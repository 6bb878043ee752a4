#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/error.h"
#include "hub/files.h"
#include "hub/layout.h"
#include "hub/owner.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/tensor_stream.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// What a converted file was and is; written before the file gets its name.
struct Record {
  std::string hub_hash, sha256;
  int64_t bytes = 0;
  double time = 0;  ///< seconds since 1970
};

std::optional<Record> read_record(const fs::path& path) {
  try {
    const nlohmann::json json = io::read_json_file(path, {.max_bytes = 1 << 16, .max_depth = 2, .max_values = 100});
    const io::JsonReader read(json, path.string());
    return Record{read.string("hub_hash"), read.string("sha256"), read.integer("bytes"), read.number("time")};
  } catch (const Error&) {
    return std::nullopt;  // not there, or of no use: the file is fetched again
  }
}

// Nullopt for a file of no transformer; else how its tensors are called.
std::optional<io::Naming> naming_of(const std::string& path) {
  if (!path.ends_with(".safetensors")) return std::nullopt;
  const std::string folder = fs::path(path).parent_path().string();
  for (const io::Naming naming : {io::Naming::official, io::Naming::diffusers}) {
    const io::LayoutNames& names = io::layout_names(naming);
    if ((folder == names.high || folder == names.low || folder == names.only) &&
        fs::path(path).filename().string().starts_with(io::dit_stem))
      return naming;
  }
  return std::nullopt;
}

std::vector<io::TensorCopy> bf16_copies(const io::TensorIndex& tensors, io::Naming naming) {
  const io::TensorNames names(io::ModelPart::dit);
  std::vector<io::TensorCopy> out;
  for (const auto& [name, entry] : tensors.entries()) {
    const std::string official = names.translate(name, naming, io::Naming::official).value_or(name);
    out.push_back({name, &entry, names.bf16_type(official, entry.dtype)});
  }
  return out;
}

bool changes_nothing(std::span<const io::TensorCopy> copies) {
  return std::ranges::all_of(copies, [](const io::TensorCopy& t) { return t.dtype == t.from->dtype; });
}

class Bf16FolderLayout final : public Layout {
 public:
  Bf16FolderLayout(const fs::path& folder, const std::string& commit)
      : folder_(folder), commit_(commit), plain_(make_folder_layout(folder, commit)) {}

  fs::path folder() const override { return plain_->folder(); }
  fs::path partials() const override { return plain_->partials(); }
  std::string stem(const RemoteFile& file) const override { return plain_->stem(file); }
  bool shares_content() const override { return plain_->shares_content(); }
  fs::path home(const RemoteFile& file) const override { return plain_->home(file); }
  bool converts(const RemoteFile& file) const override { return naming_of(file.path).has_value(); }

  bool is_present(const RemoteFile& file, const std::function<void()>& on_hash,
                  const std::function<void(int64_t)>& on_bytes) const override {
    if (!converts(file)) return plain_->is_present(file, on_hash, on_bytes);
    if (const auto record = read_record(bf16_record(folder_, file.path)))
      return record->hub_hash == file.digest.hex && is_as_recorded(file, *record, on_hash, on_bytes);
    std::error_code error;
    if (fs::exists(bf16_record(folder_, file.path), error)) return false;  // of no use
    if (!plain_->is_present(file, on_hash, on_bytes)) return false;
    convert(home(file), file, on_bytes);  // from a download that did not convert
    return true;
  }

  void prepare(const RemoteFile& file) const override { plain_->prepare(file); }

  void take(Partial& partial, const RemoteFile& file, const std::function<void(int64_t)>& on_bytes) const override {
    if (converts(file) && convert(partial.path(), file, on_bytes)) return partial.discard();
    std::error_code error;
    fs::remove(bf16_record(folder_, file.path), error);  // of what was there before
    partial.move_to(home(file));
  }

  // A converted file has its record; to other programs it is a file of unknown origin, which they compare and refuse.
  void publish(const RemoteFile& file) const override {
    std::error_code error;
    if (!fs::exists(bf16_record(folder_, file.path), error)) plain_->publish(file);
  }
  void complete() const override { plain_->complete(); }

 private:
  bool is_as_recorded(const RemoteFile& file, const Record& record, const std::function<void()>& on_hash,
                      const std::function<void(int64_t)>& on_bytes) const {
    struct stat status {};
    const fs::path path = home(file);
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != record.bytes) return false;
    if (static_cast<double>(status.st_mtim.tv_sec) <= record.time) return true;  // not changed since
    on_hash();
    const io::FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return fd && hash_file(fd.get(), Digest::Kind::sha256, record.bytes, path.string(), on_bytes) == record.sha256;
  }

  // Verified content at `from` becomes the file at home; false if there is nothing to convert.
  bool convert(const fs::path& from, const RemoteFile& file, const std::function<void(int64_t)>& on_bytes) const {
    const io::SafetensorsFile source = io::open_safetensors(from);
    const std::vector<io::TensorCopy> copies = bf16_copies(source.tensors, *naming_of(file.path));
    if (changes_nothing(copies)) return false;
    remove_leftovers(home(file));
    io::AtomicFile out(home(file));
    Hasher hasher(Digest::Kind::sha256, 0);
    io::stream_safetensors(copies, source.metadata, [&](std::span<const std::byte> bytes) {
      out.write(bytes);
      hasher.add(bytes);
      on_bytes(static_cast<int64_t>(bytes.size()));
    });
    const nlohmann::ordered_json record = {{"commit", commit_},      {"hub_hash", file.digest.hex},
                                           {"hub_bytes", file.size}, {"sha256", hasher.hex()},
                                           {"bytes", out.size()},    {"time", now() + 1}};
    const fs::path path = bf16_record(folder_, file.path);
    make_folders(path.parent_path());
    replace_file(path, record.dump(2) + "\n", partials() / fmt::format("{}.{}.note", stem(file), own_name()));
    out.commit();
    return true;
  }

  // Of a process that was killed in convert(): the file is ours alone now, as its partial file is.
  static void remove_leftovers(const fs::path& home) {
    const std::string begin = fmt::format(".{}.", home.stem().string()), end = ".part" + home.extension().string();
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(home.parent_path(), error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(begin) && name.ends_with(end)) fs::remove(entry.path(), error);
    }
  }

  const fs::path folder_;
  const std::string commit_;
  const std::unique_ptr<Layout> plain_;
};

}  // namespace

std::unique_ptr<Layout> make_bf16_folder_layout(const fs::path& folder, const std::string& commit) {
  return std::make_unique<Bf16FolderLayout>(folder, commit);
}

}  // namespace wan::hub
