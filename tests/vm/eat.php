<?php
// Takes memory until somebody stops it; each piece is written to, so that it is there.
ini_set('memory_limit', '-1');
for ($pieces = [];;) {
    $pieces[] = str_repeat('x', 1 << 20);
}
