//! What the kernel writes of processes that it ends (mm/oom_kill.c, arch/x86/mm/fault.c) and
//! systemd of services (src/core/service.c), each with a sample. Pure.

use crate::diagnose::around::Sign;

use super::Program;
use super::table::Row;
use super::table::Says::Of;

pub(super) const ROWS: [Row; 14] = [
    (
        Program::Kernel,
        "*[#]: segfault at * ip * sp * error *",
        Of(Sign::Segfault),
        "php-fpm8.2[7]: segfault at 0 ip 000055d0c8a3b1f4 sp 00007ffd5a1b2c30 error 4 in \
        php-fpm8.2[55d0c8800000+2b0000]",
    ),
    (
        Program::Kernel,
        "traps: *[#] general protection fault ip:*",
        Of(Sign::Segfault),
        "traps: php-fpm8.2[7] general protection fault ip:7f3c1a2b3c4d sp:7ffd5a1b2c30 error:0 \
        in libc.so.6[7f3c1a200000+155000]",
    ),
    (
        Program::Kernel,
        "traps: *[#] trap * ip:*",
        Of(Sign::Segfault),
        "traps: php-fpm8.2[7] trap invalid opcode ip:55d0c8a3b1f4 sp:7ffd5a1b2c30 error:0 in \
        php-fpm8.2[55d0c8800000+2b0000]",
    ),
    (
        Program::Kernel,
        "Out of memory: Killed process # (*",
        Of(Sign::OomKill),
        "Out of memory: Killed process 7 (php-fpm8.2) total-vm:512000kB, anon-rss:300000kB, \
        file-rss:0kB, shmem-rss:0kB, UID:33 pgtables:700kB oom_score_adj:0",
    ),
    (
        Program::Kernel,
        "Memory cgroup out of memory: Killed process # (*",
        Of(Sign::OomKill),
        "Memory cgroup out of memory: Killed process 7 (php-fpm8.2) total-vm:512000kB, \
        anon-rss:300000kB, file-rss:0kB, shmem-rss:0kB, UID:33 pgtables:700kB oom_score_adj:0",
    ),
    (
        Program::Kernel,
        "oom-kill:constraint=*",
        Of(Sign::OomKill),
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=php8.2-fpm.service,\
         mems_allowed=0,oom_memcg=/system.slice/php8.2-fpm.service,task=php-fpm8.2,pid=7,uid=33",
    ),
    (
        Program::Systemd,
        "*: A process of this unit has been killed by the OOM killer.",
        Of(Sign::OomKill),
        "php8.2-fpm.service: A process of this unit has been killed by the OOM killer.",
    ),
    (
        Program::Systemd,
        "*: Failed with result 'oom-kill'.",
        Of(Sign::OomKill),
        "php8.2-fpm.service: Failed with result 'oom-kill'.",
    ),
    (
        Program::Systemd,
        "*: Main process exited, code=killed, status=9/KILL",
        Of(Sign::Killed),
        "php8.2-fpm.service: Main process exited, code=killed, status=9/KILL",
    ),
    (
        Program::Systemd,
        "*: Main process exited, code=*, status=11/SEGV",
        Of(Sign::Segfault),
        "apache2.service: Main process exited, code=dumped, status=11/SEGV",
    ),
    (
        Program::Systemd,
        "*: Main process exited, code=*, status=6/ABRT",
        Of(Sign::Segfault),
        "apache2.service: Main process exited, code=killed, status=6/ABRT",
    ),
    (
        Program::Systemd,
        "Reloaded *.service*",
        Of(Sign::Restarted),
        "Reloaded php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager.",
    ),
    (
        Program::Systemd,
        "Stopped *.service*",
        Of(Sign::Stopped),
        "Stopped php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager.",
    ),
    (
        Program::Systemd,
        "Started *.service*",
        Of(Sign::Started),
        "Started php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager.",
    ),
];
