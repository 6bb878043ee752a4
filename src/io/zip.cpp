#include "io/zip.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "io/byte_reader.h"
#include "io/printable.h"
#include "io/wrong_content.h"

namespace wan::io {
namespace {

constexpr uint32_t local_signature = 0x04034b50;
constexpr uint32_t descriptor_signature = 0x08074b50;
constexpr uint32_t central_signature = 0x02014b50;
constexpr uint32_t end_signature = 0x06054b50;
constexpr uint32_t end64_signature = 0x06064b50;
constexpr uint32_t locator64_signature = 0x07064b50;

constexpr int64_t local_bytes = 30;
constexpr int64_t central_bytes = 46;
constexpr int64_t end_bytes = 22;
constexpr int64_t end64_bytes = 56;
constexpr int64_t locator64_bytes = 20;
constexpr int64_t max_comment = 65535;
constexpr int64_t max_directory_bytes = 64 << 20;

constexpr uint16_t flag_descriptor = 1u << 3;
constexpr uint16_t flag_utf8 = 1u << 11;
constexpr uint16_t saturated16 = 0xffff;
constexpr uint32_t saturated32 = 0xffffffff;

struct EndRecord {
  int64_t entries = 0;
  int64_t directory_offset = 0;
  int64_t directory_bytes = 0;
};

// A member as the central directory describes it, and where its parts lie.
struct Member {
  std::string name;
  uint16_t flags = 0;
  uint32_t crc = 0;
  int64_t size = 0;
  int64_t header_offset = 0;
  int64_t data_offset = 0;
  int64_t end = 0;  // after the data and its descriptor
};

[[noreturn]] void fail_damaged(const MappedFile& file, std::string_view what) {
  fail(ErrorCode::bad_file, "[{}] {}: the file is damaged, fetch it again", file.name(), what);
}

int64_t to_signed(const MappedFile& file, uint64_t value) {
  if (value > static_cast<uint64_t>(INT64_MAX)) fail_damaged(file, "its zip directory has a number beyond 2^63");
  return static_cast<int64_t>(value);
}

// ---- End of central directory ----

int64_t find_end_record(const MappedFile& file) {
  const int64_t window = std::min(file.size(), end_bytes + max_comment);
  const int64_t base = file.size() - window;
  const std::vector<std::byte> tail = file.read(base, window);
  for (int64_t i = window - end_bytes; i >= 0; --i) {
    const std::span<const std::byte> candidate(tail.data() + i, static_cast<size_t>(end_bytes));
    ByteReader reader(candidate, file.name(), base + i);
    if (reader.number<uint32_t>() != end_signature) continue;
    reader.take(16);
    if (reader.number<uint16_t>() == window - i - end_bytes) return base + i;
  }
  const std::string why = explain_wrong_content(file);
  const bool is_zip = file.size() >= 4 && why.starts_with("it is a zip");
  require(
      !is_zip, ErrorCode::bad_file,
      "[{}] is truncated or still downloading: it has {} and no zip directory at its end; finish the download or fetch "
      "the file again",
      file.name(), human_bytes(file.size()));
  fail(ErrorCode::bad_file, "[{}] is not a zip archive, which .pth files are{}{}", file.name(), why.empty() ? "" : ": ",
       why);
}

std::optional<EndRecord> read_end64(const MappedFile& file, int64_t end_offset) {
  if (end_offset < locator64_bytes) return std::nullopt;
  const auto locator = file.read(end_offset - locator64_bytes, locator64_bytes);
  ByteReader reader(locator, file.name(), end_offset - locator64_bytes);
  if (reader.number<uint32_t>() != locator64_signature) return std::nullopt;
  const auto disk = reader.number<uint32_t>();
  const int64_t offset = to_signed(file, reader.number<uint64_t>());
  const auto disks = reader.number<uint32_t>();
  if (disk != 0 || disks > 1) fail_damaged(file, "it is split over several disks");
  if (offset > end_offset - locator64_bytes - end64_bytes)
    fail_damaged(file, "its zip64 end record is not where it should be");

  const auto record = file.read(offset, end64_bytes);
  ByteReader end64(record, file.name(), offset);
  const auto signature = end64.number<uint32_t>();
  const int64_t length = to_signed(file, end64.number<uint64_t>());
  if (signature != end64_signature || length != end_offset - locator64_bytes - offset - 12)
    fail_damaged(file, "its zip64 end record is not where it should be");
  end64.take(4);  // versions
  const auto this_disk = end64.number<uint32_t>();
  const auto directory_disk = end64.number<uint32_t>();
  const auto entries_here = end64.number<uint64_t>();
  const auto entries = end64.number<uint64_t>();
  if (this_disk != 0 || directory_disk != 0 || entries_here != entries)
    fail_damaged(file, "it is split over several disks");
  EndRecord out;
  out.entries = to_signed(file, entries);
  out.directory_bytes = to_signed(file, end64.number<uint64_t>());
  out.directory_offset = to_signed(file, end64.number<uint64_t>());
  const auto directory_end = checked_add(out.directory_offset, out.directory_bytes);
  if (directory_end != offset) fail_damaged(file, "its zip directory does not end at the zip64 end record");
  return out;
}

EndRecord read_end(const MappedFile& file) {
  const int64_t offset = find_end_record(file);
  const auto record = file.read(offset, end_bytes);
  ByteReader reader(record, file.name(), offset);
  reader.take(4);
  const auto this_disk = reader.number<uint16_t>();
  const auto directory_disk = reader.number<uint16_t>();
  const auto entries_here = reader.number<uint16_t>();
  const auto entries = reader.number<uint16_t>();
  const auto bytes = reader.number<uint32_t>();
  const auto start = reader.number<uint32_t>();
  if (this_disk != 0 || directory_disk != 0 || entries_here != entries)
    fail_damaged(file, "it is split over several disks");

  if (const auto end64 = read_end64(file, offset)) {
    const bool agree = (entries == saturated16 || entries == end64->entries) &&
                       (bytes == saturated32 || bytes == end64->directory_bytes) &&
                       (start == saturated32 || start == end64->directory_offset);
    if (!agree) fail_damaged(file, "its zip and zip64 end records disagree");
    return *end64;
  }
  if (int64_t{start} + int64_t{bytes} != offset) fail_damaged(file, "its zip directory does not end at the end record");
  return {entries, start, bytes};
}

// ---- Members ----

// The zip64 extra field holds, in this order, those of the values that are saturated in the header.
void apply_zip64(const MappedFile& file, std::span<const std::byte> extra, int64_t base,
                 std::span<uint64_t* const> values) {
  ByteReader reader(extra, file.name(), base);
  while (reader.remaining() >= 4) {
    const auto id = reader.number<uint16_t>();
    const auto length = reader.number<uint16_t>();
    const int64_t at = reader.offset();
    ByteReader field(reader.take(length), file.name(), at);
    if (id != 1) continue;
    for (uint64_t* value : values)
      if (*value == saturated32) *value = field.number<uint64_t>();
    return;
  }
}

Member read_central(const MappedFile& file, ByteReader& reader) {
  if (reader.number<uint32_t>() != central_signature)
    fail_damaged(file, "its zip directory has an entry without signature");
  reader.take(4);  // versions
  Member member;
  member.flags = reader.number<uint16_t>();
  const auto method = reader.number<uint16_t>();
  reader.take(4);  // time and date
  member.crc = reader.number<uint32_t>();
  uint64_t compressed = reader.number<uint32_t>();
  uint64_t size = reader.number<uint32_t>();
  const auto name_bytes = reader.number<uint16_t>();
  const auto extra_bytes = reader.number<uint16_t>();
  const auto comment_bytes = reader.number<uint16_t>();
  const auto disk = reader.number<uint16_t>();
  reader.take(6);  // attributes
  uint64_t header_offset = reader.number<uint32_t>();
  member.name = reader.text(name_bytes);
  const int64_t extra_at = reader.offset();
  uint64_t* const zip64_values[] = {&size, &compressed, &header_offset};
  apply_zip64(file, reader.take(extra_bytes), extra_at, zip64_values);
  reader.take(comment_bytes);

  const std::string name = printable(member.name);
  require((member.flags & ~(flag_descriptor | flag_utf8)) == 0, ErrorCode::bad_file,
          "[{}] zip member {} has flags {:#x} (encrypted, patched or compressed), plain stored data was expected",
          file.name(), name, member.flags);
  require(method == 0 && compressed == size, ErrorCode::bad_file,
          "[{}] zip member {} is compressed (method {}, {} to {} bytes); torch.save stores without compression: save "
          "it again "
          "with torch",
          file.name(), name, method, compressed, size);
  if (disk != 0) fail_damaged(file, "it is split over several disks");
  member.size = to_signed(file, size);
  member.header_offset = to_signed(file, header_offset);
  return member;
}

[[noreturn]] void fail_disagree(const MappedFile& file, const Member& member, const char* what) {
  fail(ErrorCode::bad_file,
       "[{}] zip member {} at offset {}: the directory and the {} disagree: the file is damaged, fetch it again",
       file.name(), printable(member.name), member.header_offset, what);
}

void check_descriptor(const MappedFile& file, Member& member, int64_t limit) {
  // Sizes have 4 bytes, or 8 in zip64 archives; only one of the two forms agrees with the directory.
  const int64_t at = member.data_offset + member.size;
  for (const int64_t size_bytes : {4, 8}) {
    const int64_t length = 8 + 2 * size_bytes;
    if (at + length > limit) continue;
    const auto bytes = file.read(at, length);
    ByteReader reader(bytes, file.name(), at);
    if (reader.number<uint32_t>() != descriptor_signature || reader.number<uint32_t>() != member.crc) continue;
    const auto next = [&] { return size_bytes == 4 ? reader.number<uint32_t>() : reader.number<uint64_t>(); };
    const auto size = static_cast<uint64_t>(member.size);
    if (next() != size || next() != size) continue;
    member.end = at + length;
    return;
  }
  fail_disagree(file, member, "data descriptor");
}

// Fills in data_offset and end. `limit` is where the directory begins.
void check_local(const MappedFile& file, Member& member, int64_t limit) {
  const auto name_end = checked_add(member.header_offset, local_bytes + static_cast<int64_t>(member.name.size()));
  if (!name_end || *name_end > limit) fail_disagree(file, member, "end of the data");
  const auto header = file.read(member.header_offset, *name_end - member.header_offset);
  ByteReader reader(header, file.name(), member.header_offset);
  if (reader.number<uint32_t>() != local_signature) fail_disagree(file, member, "local header's signature");
  reader.take(2);  // version
  const auto flags = reader.number<uint16_t>();
  const auto method = reader.number<uint16_t>();
  reader.take(4);  // time and date
  const auto crc = reader.number<uint32_t>();
  uint64_t compressed = reader.number<uint32_t>();
  uint64_t size = reader.number<uint32_t>();
  const auto name_bytes = reader.number<uint16_t>();
  const auto extra_bytes = reader.number<uint16_t>();
  if (flags != member.flags || method != 0) fail_disagree(file, member, "local header's flags");
  if (name_bytes != member.name.size() || reader.text(name_bytes) != member.name)
    fail_disagree(file, member, "local header's name");

  member.data_offset = *name_end + extra_bytes;
  const auto data_end = checked_add(member.data_offset, member.size);
  if (!data_end || *data_end > limit) fail_disagree(file, member, "end of the data");
  const auto extra = file.read(*name_end, extra_bytes);
  uint64_t* const zip64_values[] = {&size, &compressed};
  apply_zip64(file, extra, *name_end, zip64_values);

  const auto expected = static_cast<uint64_t>(member.size);
  const bool same = crc == member.crc && size == expected && compressed == expected;
  const bool left_to_descriptor = (flags & flag_descriptor) != 0 && crc == 0 && size == 0 && compressed == 0;
  if (!same && !left_to_descriptor) fail_disagree(file, member, "local header's sizes");
  member.end = *data_end;
  if ((flags & flag_descriptor) != 0) check_descriptor(file, member, limit);
}

void check_overlap(const MappedFile& file, std::vector<Member>& members) {
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.header_offset < b.header_offset; });
  for (size_t i = 1; i < members.size(); ++i)
    require(members[i - 1].end <= members[i].header_offset, ErrorCode::bad_file,
            "[{}] zip members {} and {} overlap at offset {}: the file is damaged, fetch it again", file.name(),
            printable(members[i - 1].name), printable(members[i].name), members[i].header_offset);
}

}  // namespace

ZipDirectory read_zip_directory(const MappedFile& file) {
  const EndRecord end = read_end(file);
  require(end.directory_bytes <= max_directory_bytes, ErrorCode::bad_file,
          "[{}] has a zip directory of {}, at most {} are accepted", file.name(), human_bytes(end.directory_bytes),
          human_bytes(max_directory_bytes));
  if (end.entries > end.directory_bytes / central_bytes)
    fail_damaged(file, "its zip directory is shorter than its entries");
  const auto directory = file.read(end.directory_offset, end.directory_bytes);
  ByteReader reader(directory, file.name(), end.directory_offset);
  std::vector<Member> members;
  for (int64_t i = 0; i < end.entries; ++i) {
    members.push_back(read_central(file, reader));
    check_local(file, members.back(), end.directory_offset);
  }
  if (reader.remaining() != 0) fail_damaged(file, "its zip directory has bytes after its last entry");
  check_overlap(file, members);

  ZipDirectory out;
  for (const Member& member : members) {
    const bool added = out.try_emplace(member.name, ZipEntry{member.data_offset, member.size}).second;
    require(added, ErrorCode::bad_file, "[{}] the zip member {} occurs twice: the file is damaged, fetch it again",
            file.name(), printable(member.name));
  }
  return out;
}

}  // namespace wan::io
