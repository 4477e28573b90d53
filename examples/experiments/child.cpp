// SPDX-License-Identifier: MIT
#include "child.hpp"

#include <dla/io/atomic_file.hpp>

#include <csignal>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace experiments {

Child::Child(const std::vector<std::string>& words, const std::string& log) {
    const dla::detail::FileDescriptor out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    if (!out) dla::fail(dla::ErrorCode::io, log, dla::detail::errno_sentence("cannot open", errno));
    std::vector<std::string> copy = words;
    std::vector<char*> arguments;
    for (std::string& w : copy) arguments.push_back(w.data());
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ < 0) dla::fail(dla::ErrorCode::io, words[0], dla::detail::errno_sentence("cannot start", errno));
    if (process_ > 0) return;
    // From here to exec only what is safe in a child of a process with threads.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(143);  // it ended meanwhile
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    if (nothing >= 0) ::dup2(nothing, 0);
    ::dup2(out.get(), 1);
    ::dup2(out.get(), 2);
    ::execv(arguments[0], arguments.data());
    const char what[] = "error[io] train: cannot be started\n";
    (void)!::write(2, what, sizeof what - 1);
    ::_exit(6);
}

bool Child::ended() {
    if (ended_ || process_ <= 0) return ended_;
    int status = 0;
    const pid_t got = ::waitpid(process_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    ended_ = true;
    status_ = got < 0 ? 6 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void Child::wait() {
    while (process_ > 0 && !ended()) ::usleep(20000);
}

void Child::stop() const {
    if (!ended_ && process_ > 0) ::kill(process_, SIGTERM);
}

}  // namespace experiments
