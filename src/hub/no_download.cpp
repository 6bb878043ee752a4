#include "core/error.h"
#include "wan/download.h"

namespace wan {

DownloadResult download(const DownloadOptions&, const DownloadHooks&) {
  fail(ErrorCode::unsupported,
       "[download] this build has no HTTP client: install libcurl and libcrypto with their headers (Debian, Ubuntu: "
       "apt-get install libcurl4-openssl-dev libssl-dev) and build again, or fetch the files by other means");
}

}  // namespace wan
