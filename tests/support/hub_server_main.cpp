// A hub that serves a folder as a repository until it is ended: wan_hub_server FOLDER ORG/REPO [PORT]
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/hub_server.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: wan_hub_server FOLDER ORG/REPO [PORT]\n");
    return 2;
  }
  std::map<std::string, wan::test::HubServer::File> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    wan::test::HubServer::File file{{std::istreambuf_iterator<char>(in), {}}};
    file.is_large = file.content.size() > 10'000;
    files[entry.path().lexically_relative(argv[1]).string()] = std::move(file);
  }
  wan::test::HubServer hub(argv[2], std::move(files), argc > 3 ? std::atoi(argv[3]) : 0);
  hub.alter = [](const wan::test::HttpQuery& query, bool cdn, wan::test::HttpReply& reply) {
    std::printf("%s %s %s %s %d\n", cdn ? "cdn" : "hub", query.method.c_str(), query.target.c_str(),
                query.header("range").c_str(), reply.status);
    std::fflush(stdout);
  };
  std::printf("%s\n", hub.url().c_str());
  std::fflush(stdout);
  for (;;) pause();
}
