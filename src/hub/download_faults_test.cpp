// Whole downloads from a local hub that misbehaves.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <thread>

#include "hub/download_test_support.h"
#include "support/expect_error.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;
using test::HttpQuery;
using test::HttpReply;
using testing::HasSubstr;

constexpr const char* kT5 = "models_t5_umt5-xxl-enc-bf16.pth";

bool is_t5(const HttpQuery& query) { return query.path.find(kT5) != std::string::npos; }

class Faults : public DownloadTest {
 protected:
  // No file of the repository has more bytes than the hub announced.
  void expect_nothing_larger() const {
    for (const auto& entry : fs::recursive_directory_iterator(cache.path()))
      if (entry.is_regular_file()) {
        EXPECT_LE(entry.file_size(), 20'100u) << entry.path();
      }
  }
  // Nothing has the name of a finished T5.
  void expect_no_t5() const { EXPECT_FALSE(fs::exists(repo_folder() / "blobs" / hub.hash(kT5))); }
};

TEST_F(Faults, ConnectionsThatBreakAtAnyByte) {
  std::mt19937 random(3);
  int breaks = 0;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn || query.method != "GET" || random() % 3 == 0) return;
    reply.cut_after = static_cast<int64_t>(random() % (reply.body.size() + 1));
    ++breaks;
  };
  expect_complete(fetch().folder);
  EXPECT_GT(breaks, 10);
  // What had come was not asked for again.
  for (const auto& seen : hub.seen())
    if (seen.cdn && seen.query.has("range")) {
      EXPECT_FALSE(seen.query.header("range").starts_with("bytes=0-"));
    }
}

TEST_F(Faults, AConnectionThatAlwaysBreaksIsGivenUp) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query)) reply.cut_after = 0;
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "after 5 tries", "what has come is kept");
  expect_no_t5();
}

TEST_F(Faults, WhatCameBeforeAFailureIsNotFetchedAgain) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query))
      reply = {
          .status = query.has("range") ? 500 : 206, .headers = reply.headers, .body = reply.body, .cut_after = 15'000};
    if (cdn && is_t5(query) && reply.status == 206) reply.status = 200;
  };
  EXPECT_THROW(fetch(), Error);
  hub.alter = nullptr;
  const auto before = hub.body_bytes();
  const DownloadResult again = fetch();
  expect_complete(again.folder);
  EXPECT_GE(plan.present_bytes, 15'000);
  EXPECT_LE(again.fetched_bytes, plan.total_bytes - 15'000);
  EXPECT_LE(hub.body_bytes() - before, plan.total_bytes - 15'000);
}

TEST_F(Faults, ServerErrorsAreTriedAgain) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    const test::TempDir fresh;
    options.cache = fresh.path();
    int left = 8;
    hub.alter = [&](const HttpQuery&, bool, HttpReply& reply) {
      if (left > 0 && left-- % 2 == 0) reply = {.status = status};
    };
    expect_complete(fetch().folder);
    EXPECT_EQ(left, 0);
  }
}

TEST_F(Faults, RetryAfterIsObeyed) {
  bool asked = false;
  std::chrono::steady_clock::time_point refused, came;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn || !is_t5(query)) return;
    if (!asked) {
      reply = {.status = 429, .headers = {{"Retry-After", "1"}}};
      refused = std::chrono::steady_clock::now();
    } else {
      came = std::chrono::steady_clock::now();
    }
    asked = true;
  };
  fetch();
  EXPECT_GE(came - refused, std::chrono::milliseconds(950));
  EXPECT_THAT(notes, HasSubstr("the server wants fewer requests (HTTP 429); trying again in 1 s"));
}

TEST_F(Faults, AnUnreasonableRetryAfterEndsTheDownload) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query)) reply = {.status = 429, .headers = {{"RateLimit", "\"api\";r=0;t=99999"}}};
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "asks to wait 99999 s");
}

TEST_F(Faults, AnExpiredLinkIsAskedForAgain) {
  int count = 0;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn || !is_t5(query)) return;
    if (++count == 1) reply.cut_after = 5000;
    if (count == 2) reply = {.status = 403};
  };
  expect_complete(fetch().folder);
  const auto seen = hub.seen();
  EXPECT_EQ(
      std::count_if(seen.begin(), seen.end(), [](const auto& s) { return s.query.method == "HEAD" && is_t5(s.query); }),
      2);
}

TEST_F(Faults, LinksThatExpireWhileFilesCome) {
  std::atomic<bool> over = false;
  std::jthread clock([&] {
    for (int i = 0; i < 20 && !over; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      hub.expire_links();
    }
  });
  expect_complete(fetch().folder);
  over = true;
}

TEST_F(Faults, ALinkThatNeverWorksIsGivenUp) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query)) reply = {.status = 403};
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "HTTP 403");
}

TEST_F(Faults, AServerThatIgnoresRanges) {
  std::mt19937 random(5);
  int breaks = 0;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn || query.method != "GET") return;
    const auto& whole = hub.file(query.path.substr(1)).content;
    reply = {.body = whole};
    if (++breaks % 3 != 0) reply.cut_after = static_cast<int64_t>(random() % whole.size());
  };
  expect_complete(fetch().folder);
  EXPECT_THAT(notes, HasSubstr("the server ignores ranges"));
}

TEST_F(Faults, RangesThatAreNotTheOnesAskedFor) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn || !is_t5(query)) return;
    if (!query.has("range")) reply.cut_after = 10'000;
    for (auto& [name, value] : reply.headers)
      if (name == "Content-Range") value = "bytes 0-10000/20001";
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "were asked for");
  expect_no_t5();
}

TEST_F(Faults, Http416) {
  int count = 0;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn || !is_t5(query)) return;
    if (++count == 1) reply.cut_after = 10'000;
    if (count == 2) reply = {.status = 416};
  };
  expect_complete(fetch().folder);
}

TEST_F(Faults, BodiesThatAreTooShort) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query)) reply = {.body = reply.body.substr(0, reply.body.size() / 2)};
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "10000 bytes on the server, 20001 were announced");
  expect_no_t5();
}

TEST_F(Faults, BodiesThatAreTooLong) {
  for (const int64_t announced : {-1, -2}) {  // with a length that says so, and without
    const test::TempDir fresh;
    options.cache = fresh.path();
    hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
      if (cdn && is_t5(query)) reply = {.body = std::string(5'000'000, 'x'), .announced = announced};
    };
    test::expect_error(
        ErrorCode::comm, [&] { fetch(); }, kT5);
    for (const auto& entry : fs::recursive_directory_iterator(fresh.path()))
      if (entry.is_regular_file()) {
        EXPECT_LE(entry.file_size(), 20'100u) << entry.path();
      }
  }
}

TEST_F(Faults, WrongContentIsFetchedOnceMore) {
  int count = 0;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query) && ++count == 1) reply.body[12'345] ^= 1;
  };
  expect_complete(fetch().folder);
  EXPECT_EQ(count, 2);
  EXPECT_THAT(notes, HasSubstr("its sha256 is wrong; fetching it again"));
}

TEST_F(Faults, WrongContentTwiceIsRefused) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query)) reply.body[12'345] ^= 1;
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, hub.hash(kT5), "thrown away");
  expect_no_t5();
  EXPECT_FALSE(find_model("Org/Name", cache.path()));
  hub.alter = nullptr;
  expect_complete(fetch().folder);
}

TEST_F(Faults, WrongContentOfASmallFile) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (!cdn && query.method == "GET" && query.path.ends_with("tokenizer_config.json")) reply.body[2] ^= 1;
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "tokenizer_config.json", "git hash");
}

TEST_F(Faults, HeadersThatContradictTheList) {
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn || !is_t5(query)) return;
    for (auto& [name, value] : reply.headers)
      if (name == "X-Linked-Size") value = "20002";
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "20002 bytes by its headers, 20001 by the list");
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn || !is_t5(query)) return;
    for (auto& [name, value] : reply.headers)
      if (name == "X-Linked-Etag") value = "\"" + std::string(64, '0') + "\"";
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "by its headers");
}

TEST_F(Faults, HostileNamesAreRefusedBeforeAnythingIsWritten) {
  for (const std::string name :
       {"../../evil", "/tmp/evil", "a\\\\..\\\\evil", "C:evil", ".cache/huggingface/evil", "x/../evil"}) {
    hub.alter = [&](const HttpQuery& query, bool, HttpReply& reply) {
      const std::string known = "\"README.md\"";
      if (query.path.find("/tree/") != std::string::npos)
        reply.body.replace(reply.body.find(known), known.size(), "\"" + name + "\"");
    };
    options.local_dir = local / "model";
    test::expect_error(
        ErrorCode::comm, [&] { fetch(); }, "nothing was fetched");
    EXPECT_TRUE(fs::is_empty(local.path())) << name;
  }
}

TEST_F(Faults, ListsThatAreNoLists) {
  const std::string huge = "[" + std::string(40 << 20, ' ') + "]";
  const std::string deep = std::string(100'000, '[');
  for (const std::string& body :
       {std::string("{}"), std::string("[1]"), std::string("[{\"type\": \"file\"}]"), std::string("[{\"type\": 3}]"),
        std::string("[{\"type\":\"file\",\"path\":\"a\",\"size\":-1,\"oid\":\"" + std::string(40, '0') + "\"}]"),
        std::string("[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"oid\":\"../x\"}]"), std::string("<html>"), huge,
        deep}) {
    hub.alter = [&](const HttpQuery& query, bool, HttpReply& reply) {
      if (query.path.find("/tree/") != std::string::npos) reply.body = body;
    };
    test::expect_error(
        ErrorCode::comm, [&] { fetch(); }, "Org/Name");
  }
}

TEST_F(Faults, SizesWhoseSumOverflows) {
  hub.alter = [&](const HttpQuery& query, bool, HttpReply& reply) {
    if (query.path.find("/tree/") == std::string::npos) return;
    for (size_t at = 0; (at = reply.body.find("\"size\":2000", at)) != std::string::npos; ++at)
      reply.body.replace(at, 11, "\"size\":922337203685477580");
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "gives the file");
}

TEST_F(Faults, ACommitThatIsNone) {
  hub.alter = [&](const HttpQuery& query, bool, HttpReply& reply) {
    if (query.path.find("/revision/") != std::string::npos) reply.body = R"({"sha": "../../../../tmp/evil"})";
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "40 hex digits were expected");
}

TEST_F(Faults, Refusals) {
  const auto refused_with = [&](int status, const std::string& code) {
    hub.alter = [status, code](const HttpQuery&, bool, HttpReply& reply) {
      reply = {.status = status, .headers = {{"X-Error-Code", code}}};
    };
  };
  refused_with(403, "GatedRepo");
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "[Org/Name]", "accept the conditions", "HF_TOKEN");
  refused_with(401, "RepoNotFound");
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "does not exist, or is private");
  refused_with(404, "RevisionNotFound");
  options.model = "Org/Name@v9";
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "[Org/Name@v9] has no such revision");
  options.model = "Org/Name";
  refused_with(401, "");
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "refuses the token");
  hub.alter = [&](const HttpQuery& query, bool, HttpReply& reply) {
    if (is_t5(query)) reply = {.status = 404, .headers = {{"X-Error-Code", "EntryNotFound"}}};
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, kT5, "no such file");
}

TEST_F(Faults, NobodyAnswers) {
  options.endpoint = "http://127.0.0.1:1";
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "[Org/Name] no answer", "after 5 tries");
}

TEST_F(Faults, ATrickleCountsAsBroken) {
  options.stall_timeout = 1;
  std::atomic<bool> slow = true;
  hub.alter = [&](const HttpQuery& query, bool cdn, HttpReply& reply) {
    if (cdn && is_t5(query) && slow) reply.bytes_per_second = 100, slow = false;
  };
  expect_complete(fetch().folder);
  EXPECT_FALSE(slow);
}

TEST_F(Faults, CancelledAndContinued) {
  hub.alter = [](const HttpQuery&, bool cdn, HttpReply& reply) {
    if (cdn) reply.bytes_per_second = 20'000;
  };
  on_progress = [&](const DownloadProgress& p) {
    if (p.done_bytes > 20'000) cancel = true;
  };
  test::expect_error(
      ErrorCode::cancelled, [&] { fetch(); }, "what has come is kept");
  EXPECT_FALSE(find_model("Org/Name", cache.path()));
  cancel = false;
  hub.alter = nullptr;
  on_progress = {};
  expect_complete(fetch().folder);
  EXPECT_GT(plan.present_bytes, 20'000);
}

TEST_F(Faults, TwoAtOnceShareTheWork) {
  hub.alter = [](const HttpQuery&, bool cdn, HttpReply& reply) {
    if (cdn) reply.bytes_per_second = 40'000;
  };
  DownloadOptions other = options;
  other.endpoint = options.endpoint = hub.url();
  fs::path second;
  std::jthread thread([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    second = download_files(other, {}, {}).folder;
  });
  const DownloadResult first = fetch();
  thread.join();
  EXPECT_EQ(first.folder, second);
  expect_complete(first.folder);
  EXPECT_LE(hub.body_bytes(), plan.total_bytes);
}

TEST_F(Faults, TheApiMustNotSendUsElsewhere) {
  hub.alter = [&](const HttpQuery& query, bool, HttpReply& reply) {
    if (query.path.find("/revision/") != std::string::npos)
      reply = {.status = 302, .headers = {{"Location", "http://evil.example/"}}};
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "an address of its own was expected");
}

}  // namespace
}  // namespace wan::hub
