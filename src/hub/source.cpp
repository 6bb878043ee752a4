#include "hub/source.h"

#include "core/checked.h"
#include "core/error.h"
#include "hub/safe_path.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

constexpr int max_redirects = 5;
constexpr size_t max_files = 100'000;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

void Source::refuse(const HttpAnswer& answer, const std::string& what) const {
  const std::string_view code = answer.head.header("x-error-code");
  if (code == "GatedRepo")
    fail(ErrorCode::invalid_argument,
         "[{}] needs its owner's permission: accept the conditions on its page, then run again with your token in "
         "HF_TOKEN",
         what);
  if (code == "RepoNotFound")
    fail(ErrorCode::invalid_argument,
         "[{}] does not exist, or is private: check the name, or put a token that may read it into HF_TOKEN", what);
  if (code == "RevisionNotFound")
    fail(ErrorCode::invalid_argument, "[{}] has no such revision: check what follows the @", what);
  if (code == "EntryNotFound")
    fail(ErrorCode::comm, "[{}] is listed, but the hub has no such file: run the same command again", what);
  switch (answer.head.status) {
    case 401: fail(ErrorCode::invalid_argument, "[{}] the hub refuses the token, or wants one: check HF_TOKEN", what);
    case 403:
      fail(ErrorCode::invalid_argument, "[{}] the hub does not allow access: check that the token may read it", what);
    case 404: fail(ErrorCode::invalid_argument, "[{}] does not exist there: check the name", what);
    default:
      fail(ErrorCode::comm, "[{}] the hub answered with {}, the content was expected: try again later", what,
           describe(answer));
  }
}

std::unique_ptr<Source> make_source(ModelSource source, Session& session, const ModelName& name) {
  return source == ModelSource::modelscope ? make_modelscope(session, name) : make_hugging_face(session, name);
}

const char* default_endpoint(ModelSource source) {
  return source == ModelSource::modelscope ? "https://www.modelscope.cn" : "https://huggingface.co";
}

const char* default_revision(ModelSource source) { return source == ModelSource::modelscope ? "master" : "main"; }

Page get_page(Session& session, HttpClient& client, const Source& source, const std::string& url,
              const std::string& what, int64_t limit) {
  Page page{url, {}, {}};
  Retries retries(session, what);
  for (int redirects = 0;;) {
    page.body.clear();
    HttpRequest request{.url = page.url, .token = session.token_for(page.url)};
    request.stall_timeout = session.settings().answer_timeout;
    request.stopped = [&] { return session.stopped(); };
    request.on_body = [&](std::span<const std::byte> bytes) {
      require(static_cast<int64_t>(page.body.size() + bytes.size()) <= limit, ErrorCode::comm,
              "[{}] the answer has more than {}, less was expected", what, io::human_bytes(limit));
      page.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return true;
    };
    const HttpAnswer answer = client.send(request);
    session.check();
    page.head = answer.head;
    if (answer.error.empty() && answer.head.status == 200) return page;
    if (answer.error.empty() && is_redirect(answer.head.status) && ++redirects <= max_redirects) {
      const auto next = resolve_url(page.url, std::string(answer.head.header("location")));
      require(next && origin_of(*next) == origin_of(session.settings().endpoint), ErrorCode::comm,
              "[{}] the hub sends us to {}, an address of its own was expected", what,
              io::printable(answer.head.header("location")));
      page.url = *next;
      continue;
    }
    if (answer.error.empty() && !is_transient(answer)) source.refuse(answer, what);
    retries.failed(answer, describe(answer));
  }
}

void check_listing(const Listing& listing, const std::string& where) {
  require(listing.files.size() <= max_files, ErrorCode::comm, "[{}] lists more than {} files", where, max_files);
  std::vector<std::string> paths;
  int64_t total = 0;
  for (const RemoteFile& file : listing.files) {
    check_path(file.path, where);
    const auto sum = file.size < 0 ? std::nullopt : checked_add(total, file.size);
    require(sum.has_value(), ErrorCode::comm, "[{}] gives the file {} the size {}", where, io::printable(file.path),
            file.size);
    total = *sum;
    paths.push_back(file.path);
  }
  check_distinct(paths, where);
}

}  // namespace wan::hub
