#include "engine/saved_run.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "core/error.h"
#include "io/fingerprint.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"

namespace wan::engine {
namespace {

constexpr const char* kind = "wan run 1";

/// A name that one process of this machine can hold at a time, and that is free again however it ends: an address of a
/// socket that has no file. Nothing if another holds it; -1 where names cannot be had.
std::optional<int> take_name(const std::string& name) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::min(name.size(), sizeof address.sun_path - 1);
  std::copy_n(name.data(), length, address.sun_path + 1);  // behind a zero: no file
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), bytes) == 0) return fd;
  const bool taken = errno == EADDRINUSE;
  ::close(fd);
  if (taken) return std::nullopt;
  return -1;
}

int64_t number(const std::map<std::string, std::string>& metadata, const std::string& name) {
  const auto found = metadata.find(name);
  require(found != metadata.end(), ErrorCode::bad_file, "'{}' is missing", name);
  int64_t value = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size(), ErrorCode::bad_file, "'{}' is '{}'", name, text);
  return value;
}

std::string history_name(size_t i) { return fmt::format("history{}", i); }

std::vector<float> read_tensor(const io::TensorIndex& tensors, const std::string& name, const Shape& shape) {
  const io::TensorEntry& entry = tensors.at(name);
  require(entry.dtype == DType::f32 && std::ranges::equal(entry.shape, shape.dims()), ErrorCode::bad_file,
          "'{}' has another shape", name);
  return io::read_as_f32(entry);
}

}  // namespace

std::string run_key(const std::string& described, const PreparedRequest& prepared, const std::string& device) {
  io::Fingerprint print;
  print.add(described);
  print.add(device);
  if (prepared.image) {
    print.add(prepared.image->width);
    print.add(std::as_bytes(std::span(prepared.image->rgb)));
  }
  if (const auto& file = prepared.request.noise; !file.empty()) {
    const std::vector<float> noise = io::read_as_f32(io::open_safetensors(file).tensors.at("noise"));
    print.add(std::as_bytes(std::span(noise)));
  }
  return print.hex();
}

std::optional<SavedRun> SavedRun::open(const std::filesystem::path& folder, const std::string& key,
                                       const Options& options) {
  const std::filesystem::path path =
      std::filesystem::absolute(folder).lexically_normal() / fmt::format(".wan-run-{}.safetensors", key);
  io::Fingerprint name;
  name.add(path.string());
  name.add(static_cast<int64_t>(::getuid()));
  const std::optional<int> lock = take_name("wan-run-" + name.hex());
  if (!lock) return std::nullopt;
  return SavedRun(path, *lock, options);
}

SavedRun::SavedRun(std::filesystem::path path, int lock, const Options& options)
    : path_(std::move(path)), lock_(lock), options_(options) {}

SavedRun::SavedRun(SavedRun&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      options_(other.options_),
      opened_(other.opened_),
      last_(other.last_),
      offered_(other.offered_),
      seed_(other.seed_),
      saved_steps_(other.saved_steps_) {}

SavedRun::~SavedRun() {
  if (lock_ >= 0) ::close(lock_);
}

std::optional<SavedRun::Found> SavedRun::find(const Shape& latent, int64_t steps, int64_t history) const {
  std::error_code ignored;
  if (!std::filesystem::exists(path_, ignored)) return std::nullopt;
  try {
    const io::SafetensorsFile file = io::open_safetensors(path_);
    if (const auto found = file.metadata.find("kind"); found == file.metadata.end() || found->second != kind)
      return std::nullopt;
    Found run;
    run.seed = number(file.metadata, "seed");
    run.steps_done = number(file.metadata, "steps_done");
    if (run.seed < 0 || run.steps_done < 1 || run.steps_done > steps) return std::nullopt;
    run.latent = read_tensor(file.tensors, "latent", latent);
    for (size_t i = 0; i < static_cast<size_t>(history); ++i)
      run.history.push_back(read_tensor(file.tensors, history_name(i), latent));
    return run;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void SavedRun::offer(const pipeline::RunState& state, int64_t seed, MemoryResource& memory) {
  offered_ = state;
  seed_ = seed;
  if (options_.every_step || Clock::now() - last_ >= options_.interval) save(state, memory);
}

void SavedRun::save_last(MemoryResource& memory) {
  if (!offered_ || offered_->steps_done == saved_steps_) return;
  if (saved_steps_ > 0 || options_.every_step || Clock::now() - opened_ >= options_.interval) save(*offered_, memory);
}

void SavedRun::save(const pipeline::RunState& state, MemoryResource& memory) {
  std::vector<std::vector<float>> values;
  std::vector<io::TensorToWrite> tensors;
  const auto add = [&](const std::string& name, const Tensor& t) {
    std::vector<float>& host = values.emplace_back(static_cast<size_t>(t.numel()));
    memory.download(host.data(), t.data, t.nbytes());
    tensors.push_back(
        {name, DType::f32, {t.shape.dims().begin(), t.shape.dims().end()}, std::as_bytes(std::span(host))});
  };
  add("latent", state.latent);
  for (size_t i = 0; i < state.history.size(); ++i) add(history_name(i), state.history[i]);
  io::write_safetensors(
      path_, tensors,
      {{"kind", kind}, {"seed", std::to_string(seed_)}, {"steps_done", std::to_string(state.steps_done)}});
  saved_steps_ = state.steps_done;
  last_ = Clock::now();
}

void SavedRun::remove() noexcept {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
  offered_.reset();
}

}  // namespace wan::engine
