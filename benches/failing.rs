//! How fast does the page come while the upstream is down? One worker, one kept-alive connection, a
//! port that refuses; a row for each format. Elements a second are pages a second.

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use common::{Client, closed_port, proxy};

fn failing(criterion: &mut Criterion) {
    let (_held, closed) = closed_port();
    let (running, address) = proxy(closed);
    let mut group = criterion.benchmark_group("502");
    group.throughput(Throughput::Elements(1));
    for (name, accept) in
        [("text", "*/*"), ("html", "text/html,*/*;q=0.8"), ("json", "application/problem+json")]
    {
        let request =
            format!("GET /page HTTP/1.1\r\nHost: bench.example\r\nAccept: {accept}\r\n\r\n");
        let mut client = Client::to(address);
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(client.ask(request.as_bytes()).0, 502));
        });
    }
    group.finish();
    running.abort();
}

criterion_group!(benches, failing);
criterion_main!(benches);
