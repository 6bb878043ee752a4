#include "hub/safe_path.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace wan::hub {
namespace {

TEST(SafePath, HostileNamesAreRefused) {
  const std::string names[] = {"",
                               "/etc/passwd",
                               "../x",
                               "a/../../x",
                               "a/..",
                               "..",
                               ".",
                               "a/./b",
                               "a//b",
                               "a/",
                               "\\\\host\\x",
                               "a\\..\\b",
                               "C:x",
                               "C:/x",
                               std::string("a\0b", 3),
                               "a\nb",
                               "a\x7f",
                               ".cache/huggingface/download/x.metadata",
                               ".git/config",
                               "sub/.git/hooks/x",
                               std::string(300, 'a'),
                               std::string(2000, 'a') + "/b"};
  for (const std::string& name : names)
    test::expect_error(
        ErrorCode::comm, [&] { check_path(name, "Org/Name"); }, "[Org/Name]", "nothing was fetched");
}

TEST(SafePath, OrdinaryNamesAreFine) {
  for (const char* name : {"config.json", "high_noise_model/diffusion_pytorch_model-00001-of-00006.safetensors",
                           ".gitattributes", "a..b", "...", "assets/caf\xc3\xa9 1.png", "sub/.cache/x"})
    EXPECT_NO_THROW(check_path(name, "x")) << name;
}

TEST(SafePath, NoFileTwiceAndNoneAFolderOfAnother) {
  const std::vector<std::string> fine = {"a/b", "a/c", "ab"}, twice = {"a", "b", "a"}, folder = {"a/b/c", "a/b"};
  EXPECT_NO_THROW(check_distinct(fine, "x"));
  test::expect_error(
      ErrorCode::comm, [&] { check_distinct(twice, "x"); }, "twice");
  test::expect_error(
      ErrorCode::comm, [&] { check_distinct(folder, "x"); }, "a file and as a folder");
}

}  // namespace
}  // namespace wan::hub
