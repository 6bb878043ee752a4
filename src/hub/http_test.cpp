#include "hub/http.h"

#include <gtest/gtest.h>

#include "support/http_server.h"

namespace wan::hub {
namespace {

TEST(Url, OriginsAreComparedWithPortsFilledIn) {
  EXPECT_EQ(origin_of("https://Hub.example/a?b"), "https://hub.example:443");
  EXPECT_EQ(origin_of("http://hub.example:80/"), origin_of("http://HUB.example/x"));
  EXPECT_NE(origin_of("http://hub.example/"), origin_of("https://hub.example/"));
  EXPECT_NE(origin_of("http://hub.example:81/"), origin_of("http://hub.example/"));
  EXPECT_NE(origin_of("https://hub.example.evil.example/"), origin_of("https://hub.example/"));
  for (const char* text : {"", "hub.example", "ftp://hub.example/", "file:///etc/passwd",
                           "https://hub.example@evil.example/", "http://[::1"})
    EXPECT_FALSE(origin_of(text)) << text;
}

TEST(Url, ReferencesAreResolved) {
  EXPECT_EQ(resolve_url("https://a.example/b/c?d", "/e"), "https://a.example/e");
  EXPECT_EQ(resolve_url("https://a.example/b/c", "e"), "https://a.example/b/e");
  EXPECT_EQ(resolve_url("https://a.example/b", "http://x.example/y"), "http://x.example/y");
}

TEST(Url, EverySegmentIsEncoded) {
  EXPECT_EQ(encode_path("a b/c%d/caf\xc3\xa9?#.x"), "a%20b/c%25d/caf%C3%A9%3F%23.x");
  EXPECT_EQ(encode_segment("refs/pr/1"), "refs%2Fpr%2F1");
}

TEST(Http, AnswersHeadersAndRange) {
  test::HttpServer server([](const test::HttpQuery& query) {
    return test::HttpReply{.status = 206,
                           .headers = {{"X-Range", query.header("range")}, {"X-Token", query.header("authorization")}},
                           .body = "abc"};
  });
  HttpClient client(5);
  std::string body;
  HttpRequest request{.url = server.url() + "/x", .token = "secret", .range = ByteRange{3, 6}};
  request.on_body = [&](std::span<const std::byte> bytes) {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  };
  const HttpAnswer answer = client.send(request);
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.head.status, 206);
  EXPECT_EQ(answer.head.header("x-range"), "bytes=3-5");
  EXPECT_EQ(answer.head.header("x-token"), "Bearer secret");
  EXPECT_EQ(body, "abc");
}

TEST(Http, AConnectionThatBreaksIsAnError) {
  test::HttpServer server([](const test::HttpQuery&) { return test::HttpReply{.body = "abcdef", .cut_after = 3}; });
  HttpClient client(5);
  const HttpAnswer answer = client.send({.url = server.url()});
  EXPECT_NE(answer.error, "");
  EXPECT_FALSE(answer.cannot_work);
}

TEST(Http, WhatACallbackThrowsComesOut) {
  test::HttpServer server([](const test::HttpQuery&) { return test::HttpReply{.body = "abc"}; });
  HttpClient client(5);
  HttpRequest request{.url = server.url()};
  request.on_body = [](std::span<const std::byte>) -> bool { throw std::runtime_error("disk full"); };
  EXPECT_THROW(client.send(request), std::runtime_error);
  request.on_body = [](std::span<const std::byte>) { return false; };
  EXPECT_TRUE(client.send(request).ended_by_us);
}

TEST(Http, FilesAndOtherProtocolsAreNoUrls) {
  HttpClient client(5);
  EXPECT_TRUE(client.send({.url = "file:///etc/passwd"}).cannot_work);
}

}  // namespace
}  // namespace wan::hub
