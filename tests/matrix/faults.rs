//! What can happen to a deploy.

use std::process::Child;
use std::time::Duration;

use super::client::{Client, Run, ended};
use super::server::{Server, sh};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    KillClient,
    InterruptClient,
    CutConnection,
    SilentConnection,
    KillDriver,
    KillBoth,
    KillNewContainer,
    SecondDeploy,
    StopDatabase,
    FillDisk,
    KillEdge,
    KillApp,
    RestartEngine,
    Reboot,
    RebootInAnotherOrder,
}

impl Fault {
    /// Those that stop a part come first: how long the site is away is measured, which wants a machine that is idle.
    pub const ALL: [Self; 15] = [
        Self::StopDatabase,
        Self::FillDisk,
        Self::KillEdge,
        Self::KillApp,
        Self::RestartEngine,
        Self::Reboot,
        Self::RebootInAnotherOrder,
        Self::KillClient,
        Self::InterruptClient,
        Self::CutConnection,
        Self::SilentConnection,
        Self::KillDriver,
        Self::KillBoth,
        Self::KillNewContainer,
        Self::SecondDeploy,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::KillClient => "kill-client",
            Self::InterruptClient => "interrupt-client",
            Self::CutConnection => "cut-connection",
            Self::SilentConnection => "silent-connection",
            Self::KillDriver => "kill-driver",
            Self::KillBoth => "kill-driver-and-supervisor",
            Self::KillNewContainer => "kill-new-container",
            Self::SecondDeploy => "second-deploy",
            Self::StopDatabase => "stop-database",
            Self::FillDisk => "fill-disk",
            Self::RestartEngine => "restart-engine",
            Self::KillEdge => "kill-edge",
            Self::KillApp => "kill-app",
            Self::Reboot => "reboot",
            Self::RebootInAnotherOrder => "reboot-in-another-order",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Does it stop a part that requests go through, so that some must fail?
    pub const fn stops_a_part(self) -> bool {
        matches!(
            self,
            Self::StopDatabase | Self::KillEdge | Self::KillApp | Self::RestartEngine | Self::Reboot | Self::RebootInAnotherOrder
        )
    }

    /// Does it keep the database from writing, so that writes must be refused? PostgreSQL may even stop, and starts
    /// again when there is room.
    pub const fn stops_writes(self) -> bool {
        self.stops_a_part() || matches!(self, Self::FillDisk)
    }

    /// Does it strike something that is there only once the server has begun?
    pub const fn is_of_a_run(self) -> bool {
        matches!(self, Self::KillDriver | Self::KillBoth | Self::KillNewContainer)
    }

    /// Strikes while the step is held, and lets the step go on. What of it has to end before the server can settle
    /// is undone by [`Self::relent`].
    pub fn strike(self, server: &Server, client: &Client, deploy: &mut Child) -> Option<Run> {
        let signal =
            |file: &str| server.exec(&format!("kill -KILL $(cat /srv/shop/runs/$(ls /srv/shop/runs | tail -n 1)/{file})"));
        let mut second = None;
        match self {
            Self::KillClient => deploy.kill().unwrap(),
            Self::InterruptClient => sh(&format!("kill -INT {}", deploy.id())),
            Self::CutConnection => client.proxy.cut(),
            Self::SilentConnection => client.proxy.fall_silent(true),
            Self::KillDriver => drop(signal("driver.pid")),
            Self::KillBoth => {
                server.exec(
                    "cd /srv/shop/runs/$(ls /srv/shop/runs | tail -n 1) && kill -KILL $(cat driver.pid) $(cat supervisor.pid)",
                );
            }
            // Also the one-off containers of the new release: a migration that runs, say.
            Self::KillNewContainer => {
                server.let_go();
                for _ in 0..20 {
                    let kill = "new=$(basename $(ls -d /srv/shop/releases/* | tail -n 1)); ids=$(/usr/bin/docker ps -q --filter label=estiba.release=$new --filter label=estiba.slot); \
                         [ -n \"$ids\" ] && /usr/bin/docker kill $ids";
                    if server.try_exec(kill).status.success() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            Self::SecondDeploy => {
                // Of what this machine holds, the second would be held, too.
                client.let_go();
                second = Some(ended(client.spawn(&["deploy", "--json", "--force"])));
            }
            Self::StopDatabase => drop(server.try_exec("/usr/bin/docker stop -t 2 shop-db-1")),
            Self::FillDisk => server.fill_disk(),
            Self::RestartEngine => drop(server.exec("kill -KILL $(pidof dockerd)")),
            // Their processes, as a crash does: what an operator kills is not started again.
            Self::KillEdge => kill_process(server, "label=estiba.edge=web"),
            Self::KillApp => {
                let slot = server.exec("sed -n 's/^slot //p' /srv/shop/edge/web/state/slot.map");
                kill_process(server, &format!("label=com.docker.compose.service=web-{slot}"));
            }
            Self::Reboot => server.reboot(),
            // Others take part in the start, so that the site's containers get other addresses than they had.
            Self::RebootInAnotherOrder => {
                for number in 0..3 {
                    server.exec(&format!(
                        "/usr/bin/docker run -d --restart always --name squatter-{number} --network shop_default redis:7 >/dev/null \
                         && /usr/bin/docker network connect shop_estiba squatter-{number}"
                    ));
                }
                server.reboot();
            }
        }
        server.let_go();
        client.let_go();
        second
    }

    /// Ends what would not end by itself, a while after the strike.
    pub fn relent(self, server: &Server, client: &Client) {
        match self {
            Self::SilentConnection => {
                std::thread::sleep(Duration::from_secs(4));
                client.proxy.fall_silent(false);
            }
            Self::StopDatabase => {
                std::thread::sleep(Duration::from_secs(2));
                server.try_exec("/usr/bin/docker start shop-db-1");
                server.wait_for_database();
            }
            Self::RestartEngine | Self::Reboot => server.wait_up(),
            Self::RebootInAnotherOrder => {
                server.wait_up();
                server.exec("/usr/bin/docker rm -f squatter-0 squatter-1 squatter-2");
            }
            _ => {}
        }
    }
}

fn kill_process(server: &Server, filter: &str) {
    server.exec(&format!(
        "kill -KILL $(/usr/bin/docker inspect -f '{{{{.State.Pid}}}}' $(/usr/bin/docker ps -q --no-trunc --filter {filter}))"
    ));
}
