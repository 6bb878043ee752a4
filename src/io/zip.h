#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "io/mapped_file.h"

namespace wan::io {

/// The bytes of one stored member of a zip archive.
struct ZipEntry {
  int64_t offset = 0;  ///< of the data in the file
  int64_t size = 0;
};

/// Members by name. Names are keys and nothing else: they are never used as paths.
using ZipDirectory = std::map<std::string, ZipEntry, std::less<>>;

/// Reads the directory of a zip or zip64 archive whose members are all stored (not compressed), as torch.save writes
/// them (APPNOTE.TXT 6.3.10 sections 4.3 and 4.5). Throws bad_file for everything else: compressed or encrypted
/// members, several disks, duplicate names, bytes before or after the archive, members that overlap, and a directory
/// that disagrees with the local headers or data descriptors. CRCs are not computed: torch can be told to leave them
/// out.
ZipDirectory read_zip_directory(const MappedFile& file);

}  // namespace wan::io
