#include "io/zip.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "io/file_descriptor.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/zip_builder.h"

namespace wan::io {
namespace {

using test::expect_error;
using test::little;
using test::to_bytes;
using test::ZipBuilder;
using test::ZipMember;

const std::string fixtures = WAN_SOURCE_DIR "/tests/fixtures/io/";

std::shared_ptr<const MappedFile> memory(const std::string& content) {
  return MappedFile::from_memory("a.pth", to_bytes(content));
}

std::string content_of(const MappedFile& file, const ZipEntry& entry) {
  const auto bytes = file.read(entry.offset, entry.size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class... Texts>
void refused(const std::string& content, Texts... texts) {
  const auto file = memory(content);
  expect_error(
      ErrorCode::bad_file, [&] { read_zip_directory(*file); }, "[a.pth]", texts...);
}

void refused_member(const ZipMember& member, std::string_view text) {
  refused(ZipBuilder().add(ZipMember("first", "1")).add(member).build(), text, "'" + member.name + "'");
}

TEST(Zip, ReadsStoredMembers) {
  ZipMember torch_like("x/data/0", "0123456789");
  torch_like.descriptor = true;
  ZipBuilder builder;
  builder.add(ZipMember("x/data.pkl", "pickle")).add(torch_like).add(ZipMember("x/empty"));
  for (const bool zip64 : {false, true}) {
    builder.zip64 = zip64;
    for (const char* comment : {"", "a comment", "PK\x05\x06 in a comment of more than twenty-two bytes"}) {
      const auto file = memory(builder.comment(comment).build());
      const ZipDirectory zip = read_zip_directory(*file);
      ASSERT_EQ(zip.size(), 3u);
      EXPECT_EQ(content_of(*file, zip.at("x/data.pkl")), "pickle");
      EXPECT_EQ(content_of(*file, zip.at("x/data/0")), "0123456789");
      EXPECT_EQ(zip.at("x/empty").size, 0);
    }
  }
}

TEST(Zip, ReadsWhatPythonWrote) {
  const auto hostile = MappedFile::open(fixtures + "hostile_names.zip");
  const ZipDirectory zip = read_zip_directory(*hostile);
  // Names are only keys: none of these means a file.
  for (const char* name : {"../../etc/passwd", "/etc/shadow", "a/../b", "ünï/cödé"})
    EXPECT_EQ(content_of(*hostile, zip.at(name)), std::string("data of ") + name);
  const auto zip64 = MappedFile::open(fixtures + "zip64.zip");
  EXPECT_EQ(content_of(*zip64, read_zip_directory(*zip64).at("x/forced")), "0123456789");
  const auto streamed = MappedFile::open(fixtures + "streamed.zip");
  EXPECT_EQ(content_of(*streamed, read_zip_directory(*streamed).at("x/streamed")), "with a data descriptor");
}

TEST(Zip, EveryTruncationIsAnError) {
  for (const char* name : {"hostile_names.zip", "zip64.zip", "streamed.zip", "mixed.pth"}) {
    const std::string whole = test::read_file(fixtures + name);
    for (size_t n = 0; n < whole.size(); ++n)
      EXPECT_THROW(read_zip_directory(*memory(whole.substr(0, n))), Error) << name << " cut to " << n;
  }
  refused(test::read_file(fixtures + "mixed.pth").substr(0, 1000), "truncated or still downloading", "1000 bytes");
  refused("", "not a zip archive", "empty");
  refused("text that is no archive", "not a zip archive");
}

TEST(Zip, EverySingleByteChangeIsAnErrorOrHarmless) {
  const std::string whole = test::read_file(fixtures + "streamed.zip");
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto file = memory(changed);
      try {
        for (const auto& [name, entry] : read_zip_directory(*file)) file->read(entry.offset, entry.size);
      } catch (const Error&) {
      }
    }
  }
}

TEST(Zip, RefusesCompressionAndEncryption) {
  const auto deflated = MappedFile::open(fixtures + "deflated.zip");
  expect_error(
      ErrorCode::bad_file, [&] { read_zip_directory(*deflated); }, "'x/data.pkl'", "compressed (method 8");
  ZipMember member("m", "data");
  member.method = 8;
  refused_member(member, "compressed (method 8");
  member.method = 0;
  member.compressed = 1;  // a bomb: 1 byte that claims to be 4
  refused_member(member, "compressed");
  for (const int bit : {0, 5, 6, 13}) {
    ZipMember flagged("m", "data");
    flagged.flags = static_cast<uint16_t>(1 << bit);
    refused_member(flagged, "encrypted");
  }
}

TEST(Zip, DirectoryAndLocalHeaderMustAgree) {
  const auto lying = [](auto change, std::string_view text) {
    ZipMember member("m", "data");
    change(member);
    refused_member(member, text);
  };
  lying([](ZipMember& m) { m.local_name = "n"; }, "local header's name");
  lying([](ZipMember& m) { m.local_name = "longer"; }, "local header's name");
  lying([](ZipMember& m) { m.local_size = 3; }, "local header's sizes");
  lying([](ZipMember& m) { m.local_size = 0; }, "local header's sizes");
  lying([](ZipMember& m) { m.local_crc = 1; }, "local header's sizes");
  lying([](ZipMember& m) { m.local_flags = 1; }, "local header's flags");
  lying([](ZipMember& m) { m.local_flags = 8; }, "local header's flags");
  lying([](ZipMember& m) { m.descriptor = true, m.descriptor_size = 3; }, "data descriptor");
  lying([](ZipMember& m) { m.descriptor = true, m.local_crc = 1; }, "local header's sizes");
  lying([](ZipMember& m) { m.header_offset = 1; }, "signature");
  lying([](ZipMember& m) { m.header_offset = 0xfffffffe; }, "end of the data");
  lying([](ZipMember& m) { m.size = 0xfffffffe; }, "end of the data");
}

TEST(Zip, RefusesOverlapsAndDuplicates) {
  refused(ZipBuilder().add(ZipMember("a", "1")).add(ZipMember("a", "2")).build(), "'a' occurs twice");
  // Two directory entries for the same bytes, as in overlapping zip bombs.
  ZipMember again("a", "1");
  again.header_offset = 0;
  refused(ZipBuilder().add(ZipMember("a", "1")).add(again).build(), "overlap");
  // A member whose data contain another member.
  const std::string inner = ZipBuilder().add(ZipMember("inner", "x")).build();
  ZipMember second("inner", "x");
  second.header_offset = 30 + 5;
  refused(ZipBuilder().add(ZipMember("outer", inner)).add(second).build(), "'outer' and 'inner' overlap");
}

TEST(Zip, RefusesLyingEndRecords) {
  const auto base = [] { return ZipBuilder().add(ZipMember("a", "1")).add(ZipMember("b", "2")); };
  const std::string honest = base().build();
  EXPECT_NO_THROW(read_zip_directory(*memory(honest)));
  refused("x" + honest, "does not end at the end record");
  refused(honest + "x", "truncated");
  for (const int entries : {0, 1, 3, 60000}) {
    ZipBuilder builder = base();
    builder.end_entries = entries;
    refused(builder.build(), "directory");
  }
  ZipBuilder offset = base();
  offset.end_directory_offset = 3;
  refused(offset.build(), "does not end at the end record");
  offset.zip64 = true;
  refused(offset.build(), "zip and zip64 end records disagree");

  std::string disks = honest;
  disks[disks.size() - 18] = 1;
  refused(disks, "several disks");
  ZipBuilder zip64 = base();
  zip64.zip64 = true;
  const std::string with64 = zip64.build();
  const size_t record = with64.find("PK\x06\x06");
  const size_t locator = with64.find("PK\x06\x07");
  // Three bytes that no record accounts for, before the zip64 end record.
  std::string gap = with64;
  gap.replace(locator + 8, 8, little(static_cast<uint64_t>(record + 3)));
  refused(gap.insert(record, "gap"), "does not end at the zip64 end record");
  for (const size_t at : {record, record + 4, record + 32, record + 40, record + 48, locator + 8, locator + 16}) {
    std::string changed = with64;
    changed.replace(at, 4, "\xff\xff\xff\x7f");
    EXPECT_THROW(read_zip_directory(*memory(changed)), Error) << at - record;
  }
}

TEST(Zip, Zip64ExtraFields) {
  // Sizes and offset saturated in the directory, with the truth in an extra field; an unknown field comes first.
  const std::string unknown = little<uint16_t>(0x5455) + little<uint16_t>(1) + "x";
  const auto extra = [&](uint64_t size, uint64_t offset) {
    return unknown + little<uint16_t>(1) + little<uint16_t>(24) + little(size) + little(size) + little(offset);
  };
  ZipMember member("m", "data");
  member.size = 0xffffffff;
  member.local_size = 4;
  member.header_offset = 0xffffffff;
  const auto offset = static_cast<uint64_t>(30 + 5 + 1);  // after the first member
  const auto build = [&] { return ZipBuilder().add(ZipMember("first", "1")).add(member).build(); };
  member.central_extra = extra(4, offset);
  const auto file = memory(build());
  EXPECT_EQ(content_of(*file, read_zip_directory(*file).at("m")), "data");
  member.central_extra = extra(uint64_t{1} << 63, offset);
  refused(build(), "2^63");
  member.central_extra = extra(uint64_t{INT64_MAX}, offset);
  refused(build(), "'m'", "end of the data");
  member.central_extra = extra(4, uint64_t{INT64_MAX} - 10);
  refused(build(), "'m'", "end of the data");
  member.central_extra = little<uint16_t>(1) + little<uint16_t>(4) + "abcd";
  refused(build(), "8 bytes were expected");
  member.central_extra = "";
  refused(build(), "end of the data");
}

// A 5 GiB archive, sparse on disk: offsets beyond 32 bits, as in the 11.4 GB text encoder.
TEST(Zip, OffsetsBeyondFourGigabytes) {
  const test::TempDir dir;
  const int64_t hole = int64_t{5} << 30;
  ZipMember far("m", "data");
  far.header_offset = 0xffffffff;
  far.central_extra = little<uint16_t>(1) + little<uint16_t>(8) + little(static_cast<uint64_t>(hole));
  const std::string small = ZipBuilder().add(far).build();
  const size_t directory = small.find("PK\x01\x02");
  const size_t end = small.find("PK\x05\x06");
  const auto directory_offset = static_cast<uint64_t>(hole) + directory;
  const auto directory_bytes = static_cast<uint64_t>(end - directory);
  std::string tail =
      small.substr(0, end) + "PK\x06\x06" + little<uint64_t>(44) + little<uint32_t>(0) + little<uint64_t>(0) +
      little<uint64_t>(1) + little<uint64_t>(1) + little(directory_bytes) + little(directory_offset) + "PK\x06\x07" +
      little<uint32_t>(0) + little(directory_offset + directory_bytes) + little<uint32_t>(1) + "PK\x05\x06" +
      little<uint32_t>(0) + little<uint16_t>(1) + little<uint16_t>(1) + little(static_cast<uint32_t>(directory_bytes)) +
      little<uint32_t>(0xffffffff) + little<uint16_t>(0);
  const FileDescriptor fd(::open((dir / "big.pth").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_TRUE(fd);
  write_all_at(fd.get(), hole, to_bytes(tail), "big.pth");

  const auto file = MappedFile::open(dir / "big.pth");
  const ZipEntry entry = read_zip_directory(*file).at("m");
  EXPECT_EQ(entry.offset, hole + 31);
  EXPECT_EQ(content_of(*file, entry), "data");
}

}  // namespace
}  // namespace wan::io
