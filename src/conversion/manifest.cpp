#include "conversion/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "hub/digest.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/printable.h"

namespace wan::conversion {
namespace {

namespace fs = std::filesystem;

constexpr int format = 1;

bool is_within(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && path.is_relative() && std::ranges::none_of(path, [](const fs::path& p) { return p == ".."; });
}

}  // namespace

std::optional<Manifest> Manifest::read(const fs::path& folder) {
  const fs::path path = folder / manifest_name;
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const std::string where = path.string();
  const nlohmann::json json = io::read_json_file(path);
  const io::JsonReader record(json, where);
  require(record.integer("format") == format, ErrorCode::bad_file,
          "[{}] has a format that this version of wan does not know; convert into another folder", where);
  Manifest out{.key = record.string("key")};
  require(json.contains("files") && json["files"].is_object(), ErrorCode::bad_file,
          "[{}] has no 'files'; remove the folder and convert again", where);
  for (const auto& [name, entry] : json["files"].items()) {
    require(is_within(name), ErrorCode::bad_file, "[{}] names {}, which is not a file in its folder", where,
            io::printable(name));
    require(entry.is_object(), ErrorCode::bad_file, "[{}] says nothing of {}; remove the folder and convert again",
            where, io::printable(name));
    const io::JsonReader file(entry, where);
    Recorded recorded{file.integer("bytes"), file.string("sha256")};
    const auto digest = hub::parse_digest(recorded.sha256);
    require(recorded.bytes >= 0 && digest && digest->kind == hub::Digest::Kind::sha256, ErrorCode::bad_file,
            "[{}] has no size and sha256 of {}; remove the folder and convert again", where, io::printable(name));
    out.files.emplace(name, std::move(recorded));
  }
  return out;
}

void Manifest::write(const fs::path& folder) const {
  nlohmann::ordered_json recorded = nlohmann::ordered_json::object();
  for (const auto& [name, file] : files) recorded[name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  const nlohmann::ordered_json json = {{"format", format}, {"key", key}, {"files", recorded}};
  io::AtomicFile out(folder / manifest_name);
  out.write(json.dump(2) + "\n");
  out.commit();
}

}  // namespace wan::conversion
