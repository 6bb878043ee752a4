#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "options.h"

namespace wan::app {

/// How far work is that is counted in bytes and files.
struct TransferCounts {
  int64_t done_bytes = 0, total_bytes = 0;
  int64_t done_files = 0, total_files = 0;
  double bytes_per_second = 0;  ///< 0: not known
  double seconds_left = -1;     ///< negative: not known
};

/// Tells a person on stderr how such work goes. Its methods may be called from several threads.
class TransferDisplay {
 public:
  virtual ~TransferDisplay() = default;
  /// What is to be done, and what has been.
  virtual void line(const std::string& text) = 0;
  virtual void progress(const TransferCounts& counts) = 0;
  /// A finished file, as "PATH: complete".
  virtual void file(const std::string& text) = 0;
  virtual void note(const std::string& text) = 0;
  /// Nothing more comes, or an error message.
  virtual void clear() = 0;
};

/// A bar on a terminal, lines elsewhere, notes alone if `quiet`.
std::unique_ptr<TransferDisplay> make_transfer_display(const Environment& environment, bool quiet);

/// "12.3 MB", in the unit that fits.
std::string display_bytes(int64_t n);

}  // namespace wan::app
