// Makes a video through the library: generate CKPT_DIR "PROMPT" OUTPUT.mp4 [WIDTH HEIGHT FRAMES STEPS]
#include <wan/wan.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 4 && argc != 8) {
    std::fprintf(stderr, "usage: %s CKPT_DIR PROMPT OUTPUT [WIDTH HEIGHT FRAMES STEPS]\n", argv[0]);
    return 2;
  }
  try {
    wan::EngineOptions options;
    options.ckpt_dir = argv[1];
    wan::Engine engine = wan::Engine::open(options);

    wan::Request request;
    request.prompt = argv[2];
    request.output = argv[3];
    if (argc == 8) {
      request.width = std::atoi(argv[4]);
      request.height = std::atoi(argv[5]);
      request.frames = std::atoi(argv[6]);
      request.steps = std::atoi(argv[7]);
    }
    wan::Hooks hooks;
    hooks.on_progress = [](const wan::Progress& p) {
      std::fprintf(stderr, "%s %lld/%lld\n", to_string(p.stage), static_cast<long long>(p.done),
                   static_cast<long long>(p.total));
    };
    std::puts(engine.generate(request, hooks).output.c_str());
  } catch (const wan::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
