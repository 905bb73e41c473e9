//! What does the proxy add to a small GET? The same request over a kept-alive connection, direct and
//! through the proxy, interleaved.
//!
//! Wall-clock time of a round trip on loopback: most of it is the kernel's. For the proxy's own cost
//! see `benches/instructions`, and for CPU time beside other proxies `benches/peers/run`.

mod common;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use common::{Client, backend, proxy};

const REQUEST: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n\
    Content-Length: 6\r\n\r\nhello\n";

fn overhead(criterion: &mut Criterion) {
    let direct = backend(ANSWER);
    let (running, through) = proxy(direct);
    let mut group = criterion.benchmark_group("small GET");
    group.throughput(Throughput::Elements(1));
    let (mut direct, mut through) = (Client::to(direct), Client::to(through));
    // Both are asked in turn and one of them is timed, so that a slow moment meets both alike.
    group.bench_function("direct", |bencher| {
        bencher.iter_custom(|count| timed(count, &mut direct, &mut through));
    });
    group.bench_function("through", |bencher| {
        bencher.iter_custom(|count| timed(count, &mut through, &mut direct));
    });
    group.finish();
    running.abort();
}

/// The time that one of two clients took for its requests, the other asking in between.
fn timed(count: u64, client: &mut Client, other: &mut Client) -> Duration {
    let mut time = Duration::ZERO;
    for _ in 0..count {
        let start = Instant::now();
        assert_eq!(client.ask(REQUEST), (200, 6));
        time += start.elapsed();
        assert_eq!(other.ask(REQUEST), (200, 6));
    }
    time
}

criterion_group!(benches, overhead);
criterion_main!(benches);
