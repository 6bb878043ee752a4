#include "core/error.h"
#include "wan/convert.h"

namespace wan {
namespace {

[[noreturn]] void refuse() {
  fail(ErrorCode::unsupported,
       "[convert] this build cannot compute sha256: install libcurl and libcrypto with their headers (Debian, Ubuntu: "
       "apt-get install libcurl4-openssl-dev libssl-dev) and build again");
}

}  // namespace

ConvertResult convert(const ConvertOptions&, const ConvertHooks&) { refuse(); }
ConvertResult verify_converted(const std::filesystem::path&, const ConvertHooks&) { refuse(); }

}  // namespace wan
