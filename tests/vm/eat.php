<?php
// Takes so many MiB of memory, or all there is, and works with them until somebody stops it; each
// piece is written to, so that it is there.
set_time_limit(0);
ini_set('memory_limit', '-1');
$most = (int) ($_GET['mib'] ?? PHP_INT_MAX);
for ($pieces = []; count($pieces) < $most;) {
    $pieces[] = str_repeat('x', 1 << 20);
}
for (;;) {
    foreach ($pieces as &$piece) {
        for ($at = 0; $at < 1 << 20; $at += 4096) {
            $piece[$at] = 'y';
        }
        usleep(10_000);
    }
}
