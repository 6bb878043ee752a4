#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hub/digest.h"
#include "hub/model_name.h"
#include "hub/session.h"
#include "wan/download.h"

namespace wan::hub {

struct RemoteFile {
  std::string path;  ///< within the repository; safe to use below a folder
  int64_t size = 0;
  Digest digest;
};

struct Listing {
  std::string commit;  ///< 40 hex digits
  std::vector<RemoteFile> files;
};

/// A hub with models: says what is in a repository and where its files' bytes are. All of what it says is checked:
/// names, sizes, digests. Methods throw comm (no or wrong answers, refusals), or invalid_argument where the caller's
/// name or token is to blame.
class Source {
 public:
  virtual ~Source() = default;
  /// The files at a revision; the revision's commit is used from then on.
  virtual Listing list(HttpClient& client) = 0;
  /// A URL to GET the file's bytes from, for now; it may expire.
  virtual std::string locate(HttpClient& client, const RemoteFile& file) = 0;
  /// Throws what an answer that is a refusal means.
  [[noreturn]] virtual void refuse(const HttpAnswer& answer, const std::string& what) const;
};

const char* default_endpoint(ModelSource source);
const char* default_revision(ModelSource source);
std::unique_ptr<Source> make_source(ModelSource source, Session& session, const ModelName& name);

/// The two kinds behind make_source().
std::unique_ptr<Source> make_hugging_face(Session& session, const ModelName& name);
std::unique_ptr<Source> make_modelscope(Session& session, const ModelName& name);

/// What both kinds do.
struct Page {
  std::string url;  ///< after redirects
  HttpHead head;
  std::string body;
};
/// GETs a text of at most `limit` bytes with retries; redirects within the endpoint are followed.
Page get_page(Session& session, HttpClient& client, const Source& source, const std::string& url,
              const std::string& what, int64_t limit);
/// Names, sizes and their sum.
void check_listing(const Listing& listing, const std::string& where);

}  // namespace wan::hub
