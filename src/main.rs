use causeway::config::*;
use std::sync::Arc;
#[global_allocator]
static A: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(std::io::stderr).init();
    let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(args[2].parse().unwrap()) };
    let upstream = Upstream::new("shop", vec![server]);
    let config = Config { path: None, workers: 1, listeners: vec![Listener { address: ListenAddress::Tcp(args[1].parse().unwrap()), upstreams: vec![0] }], upstreams: vec![Arc::new(upstream)], client: Client::default(), page: Page::default(), log: Log { access: if args.len() > 3 { AccessLog::File(args[3].clone().into()) } else { AccessLog::Stdout }, ..Log::default() }, resolvers: vec![], drain_timeout: std::time::Duration::from_secs(5) };
    let running = causeway::server::start(config).unwrap();
    eprintln!("{:?}", running.addresses());
    loop { std::thread::park(); }
}
