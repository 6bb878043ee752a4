#pragma once
#include "hub/session.h"
#include "wan/download.h"

namespace wan::hub {

/// wan::download() with another patience, for tests.
DownloadResult download_files(const DownloadOptions& options, const DownloadHooks& hooks, const RetryPolicy& retry);

}  // namespace wan::hub
