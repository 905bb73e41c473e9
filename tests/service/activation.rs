//! Socket activation: systemd listens, the first request starts the service.

use std::os::unix::net::UnixStream;

use super::support::load::{Load, Target};
use super::unit::{FRONT, configure, drop_in, front, installed};

const REQUESTS: u64 = 10_000;

#[test]
fn the_first_request_starts_it_by_name_or_address_or_path() {
    let sandbox = installed();
    sandbox.write(
        "/etc/systemd/system/local.socket",
        "[Socket]\nService=causeway.service\nFileDescriptorName=local\n\
         ListenStream=/run/local.sock\nSocketMode=0666\n",
    );
    sandbox.sh("systemctl daemon-reload");
    for (listen, started_by) in [
        ("\"systemd:http\", \"systemd:local\"", "curl -s http://127.0.0.1/"),
        ("\"0.0.0.0:80\", \"[::]:80\", \"unix:/run/local.sock\"", "curl -s http://[::1]/"),
        (
            "\"systemd:http\", \"unix:/run/local.sock\"",
            "curl -s --unix-socket /run/local.sock http://shop.example/",
        ),
    ] {
        configure(&sandbox, &format!("listen = [{listen}]\nworkers = 2"));
        sandbox.sh("systemctl start causeway.socket local.socket");
        assert_eq!(sandbox.property("causeway", "ActiveState"), "inactive");
        assert_eq!(sandbox.sh(started_by), "ok");
        assert_eq!(sandbox.property("causeway", "ActiveState"), "active");
        // Systemd's sockets are not stored a second time.
        assert_eq!(sandbox.property("causeway", "NFileDescriptorStore"), "0");
        let unix = Target::Unix(sandbox.path("/run/local.sock"));
        let load = Load::start(&sandbox, &[front(), unix], 2);
        load.more(REQUESTS / 3 + 1);
        // They stay through a reload.
        sandbox.sh("systemctl reload causeway");
        load.more(500);
        // Whoever comes while it is stopped starts it again: nobody is refused.
        sandbox.sh("systemctl stop causeway");
        load.more(500);
        let tally = load.end();
        println!("activation by {listen}: {tally}");
        assert_eq!(tally.failures(), 0, "{tally}");
        sandbox.sh("systemctl stop causeway.socket local.socket causeway.service");
        let left = UnixStream::connect(sandbox.path("/run/local.sock"));
        assert!(left.is_err(), "systemd has closed it");
    }
}

#[test]
fn sockets_that_do_not_fit_are_told() {
    let sandbox = installed();
    // One that no listener wants.
    configure(&sandbox, "listen = [\"127.0.0.1:8081\"]");
    sandbox.sh("systemctl start causeway.socket causeway.service");
    let said = "no listener wants 0.0.0.0:80, which was passed as `http`; it is closed";
    assert!(sandbox.journal().contains(said), "{}", sandbox.journal());
    sandbox.sh("systemctl stop causeway.socket causeway.service");

    // One that is a connection already.
    configure(&sandbox, "listen = [\"systemd:http\"]");
    drop_in(&sandbox, "causeway.socket", "[Socket]\nAccept=yes\n");
    sandbox.sh("sed s/^Type=notify/Type=exec/ /usr/lib/systemd/system/causeway.service \
        >/etc/systemd/system/causeway@.service; systemctl daemon-reload");
    sandbox.sh("systemctl start causeway.socket");
    sandbox.inside(|| std::net::TcpStream::connect(std::net::SocketAddr::from(FRONT)).unwrap());
    sandbox.until("journalctl --no-pager", |journal| {
        journal.contains("is not one that accepts connections: its socket unit needs")
    });
}
