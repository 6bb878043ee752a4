#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "support/bytes.h"

namespace wan::test {

/// One member of a zip archive as the builder writes it. The fields that say what the headers claim can be changed to
/// make an archive that lies.
struct ZipMember {
  explicit ZipMember(std::string member_name, std::string content = {})
      : name(std::move(member_name)), data(std::move(content)), size(static_cast<uint32_t>(data.size())) {}

  std::string name;
  std::string data;
  uint32_t size;  ///< in the central directory
  uint32_t crc = 0x12345678;
  uint16_t flags = 0;
  uint16_t method = 0;
  bool descriptor = false;       ///< as torch: zeros in the local header, a data descriptor after the data
  std::string local_name = {};   ///< other than name
  int64_t local_size = -1;       ///< other than size
  int64_t local_crc = -1;        ///< other than crc
  int64_t local_flags = -1;      ///< other than flags
  int64_t descriptor_size = -1;  ///< other than size
  int64_t header_offset = -1;    ///< other than where the local header is
  int64_t compressed = -1;       ///< other than size, in the directory
  std::string central_extra = {};
  std::string local_extra = {};
};

/// Builds stored zip archives, honest ones and others, byte by byte.
class ZipBuilder {
 public:
  ZipBuilder& add(ZipMember member) {
    members_.push_back(std::move(member));
    return *this;
  }
  ZipBuilder& comment(std::string text) {
    comment_ = std::move(text);
    return *this;
  }
  /// What the end record claims, other than the truth.
  int64_t end_entries = -1;
  int64_t end_directory_offset = -1;
  bool zip64 = false;  ///< writes zip64 end records too

  std::string build() const {
    std::string out;
    std::string directory;
    for (const ZipMember& m : members_) {
      const auto at = static_cast<uint32_t>(m.header_offset >= 0 ? m.header_offset : static_cast<int64_t>(out.size()));
      const auto flags = static_cast<uint16_t>(m.flags | (m.descriptor ? 8 : 0));
      out += local_header(m, flags) + m.data;
      if (m.descriptor) {
        const auto size = static_cast<uint32_t>(m.descriptor_size >= 0 ? m.descriptor_size : m.size);
        out += "PK\x07\x08" + little(m.crc) + little(size) + little(size);
      }
      directory += central_header(m, flags, at);
    }
    return out + directory + end_records(out.size(), directory.size());
  }

 private:
  static std::string local_header(const ZipMember& m, uint16_t flags) {
    const std::string& name = m.local_name.empty() ? m.name : m.local_name;
    const auto size = static_cast<uint32_t>(m.local_size >= 0 ? m.local_size : m.descriptor ? 0 : m.size);
    const auto crc = static_cast<uint32_t>(m.local_crc >= 0 ? m.local_crc : m.descriptor ? 0 : m.crc);
    const auto shown_flags = static_cast<uint16_t>(m.local_flags >= 0 ? m.local_flags : flags);
    return "PK\x03\x04" + little<uint16_t>(20) + little(shown_flags) + little(m.method) + little<uint32_t>(0) +
           little(crc) + little(size) + little(size) + little(static_cast<uint16_t>(name.size())) +
           little(static_cast<uint16_t>(m.local_extra.size())) + name + m.local_extra;
  }

  static std::string central_header(const ZipMember& m, uint16_t flags, uint32_t at) {
    const auto compressed = static_cast<uint32_t>(m.compressed >= 0 ? m.compressed : m.size);
    return "PK\x01\x02" + little<uint16_t>(20) + little<uint16_t>(20) + little(flags) + little(m.method) +
           little<uint32_t>(0) + little(m.crc) + little(compressed) + little(m.size) +
           little(static_cast<uint16_t>(m.name.size())) + little(static_cast<uint16_t>(m.central_extra.size())) +
           little<uint16_t>(0) + little<uint16_t>(0) + little<uint16_t>(0) + little<uint32_t>(0) + little(at) + m.name +
           m.central_extra;
  }

  std::string end_records(size_t directory_offset, size_t directory_bytes) const {
    const auto entries = static_cast<uint16_t>(end_entries >= 0 ? end_entries : static_cast<int64_t>(members_.size()));
    const auto offset = static_cast<uint32_t>(end_directory_offset >= 0 ? end_directory_offset
                                                                        : static_cast<int64_t>(directory_offset));
    std::string out;
    if (zip64) {
      out += "PK\x06\x06" + little<uint64_t>(44) + little<uint16_t>(45) + little<uint16_t>(45) + little<uint32_t>(0) +
             little<uint32_t>(0) + little<uint64_t>(entries) + little<uint64_t>(entries) +
             little<uint64_t>(directory_bytes) + little<uint64_t>(directory_offset);
      out += "PK\x06\x07" + little<uint32_t>(0) + little<uint64_t>(directory_offset + directory_bytes) +
             little<uint32_t>(1);
    }
    return out + "PK\x05\x06" + little<uint32_t>(0) + little(entries) + little(entries) +
           little(static_cast<uint32_t>(directory_bytes)) + little(offset) +
           little(static_cast<uint16_t>(comment_.size())) + comment_;
  }

  std::vector<ZipMember> members_;
  std::string comment_;
};

}  // namespace wan::test
