#!/bin/sh
# prepare.sh look ROOT USER PROJECT SCRIPTS NAME        what a server has and lacks, a line each: `estiba:item ITEM STATE TEXT`, where STATE
#                                                       is done, todo, advice or cannot
# prepare.sh do ROOT USER PROJECT SCRIPTS NAME ITEM     does one of them, with what it needs on standard input
# prepare.sh remove ROOT USER PROJECT SCRIPTS NAME      takes back what `setup` made, but for data and packages
# Run as root. Each item can be done again: one that was cut off is begun anew.
set -u
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C DEBIAN_FRONTEND=noninteractive

verb=$1
root=$2
user=$3
project=$4
scripts=$5
# The project and the target, by which lines and files are known again.
name=$6

gate=/usr/local/lib/estiba/gate
everybodys_plugin=/usr/local/lib/docker/cli-plugins/docker-compose
items='packages engine compose logs user folders scripts gate keys boot swap clock firewall upgrades'

item() {
	printf 'estiba:item %s %s %s\n' "$1" "$2" "$3"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

has_systemd() {
	[ -d /run/systemd/system ]
}

# What the distribution is: `apt` or `dnf`, or nothing.
installer() {
	for one in apt-get dnf; do
		! has "$one" || { echo "$one" && return; }
	done
}

os_name() {
	sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release 2>/dev/null
}

home_of() {
	getent passwd "$user" | cut -d : -f 6
}

# write FILE MODE [OWNER]: standard input, in place at once.
write() {
	mkdir -p "$(dirname "$1")" && cat >"$1.estiba" && chown "${3:-root:}" "$1.estiba" && chmod "$2" "$1.estiba" && mv "$1.estiba" "$1"
}

# apt ARGUMENT…: waits for whoever uses it, and keeps settings that are there.
apt() {
	apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"
}

lacking() {
	for pair in docker:docker flock:util-linux setsid:util-linux tar:tar sha256sum:coreutils; do
		has "${pair%%:*}" || echo "${pair#*:}"
	done | sort -u
}

packages_look() {
	lack=$(lacking | tr '\n' ' ')
	if [ -z "$lack" ]; then
		item packages 'done' "Docker and what estiba's scripts use are installed ($(docker --version 2>/dev/null))"
	elif [ -z "$(installer)" ]; then
		item packages cannot "$(os_name) has neither apt nor dnf: install ${lack}by hand"
	else
		item packages todo "install ${lack% } with $(installer)"
	fi
}

packages_do() {
	case $(installer) in
	apt-get)
		# What was cut off before is ended first.
		dpkg --configure -a --force-confold || return 1
		apt update -qq || return 1
		wanted='docker.io util-linux tar coreutils ca-certificates'
		# The client is a package of its own in newer Debians.
		! apt-cache show docker-cli >/dev/null 2>&1 || wanted="$wanted docker-cli"
		# shellcheck disable=SC2086 # names of packages
		apt install -y -qq --no-install-recommends $wanted
		;;
	dnf)
		dnf install -y -q dnf-plugins-core util-linux tar coreutils || return 1
		dnf config-manager --add-repo https://download.docker.com/linux/centos/docker-ce.repo || return 1
		dnf install -y -q docker-ce docker-ce-cli containerd.io docker-compose-plugin
		;;
	esac
}

engine_look() {
	if docker info >/dev/null 2>&1; then
		if ! has_systemd || systemctl is-enabled -q docker 2>/dev/null; then
			item engine 'done' "the Docker Engine answers ($(docker info -f '{{.ServerVersion}}'))"
		else
			item engine todo 'have the Docker Engine start at boot'
		fi
	else
		item engine todo 'start the Docker Engine, now and at boot'
	fi
}

engine_do() {
	if has_systemd; then
		systemctl enable --now docker || return 1
	elif ! docker info >/dev/null 2>&1; then
		if [ -x /etc/init.d/docker ]; then service docker start; else return 1; fi
	fi
	tries=60
	until docker info >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || { echo 'the Engine does not answer within a minute' >&2 && return 1; }
		sleep 1
	done
}

compose_version() {
	docker compose version --short 2>/dev/null | sed 's/^v//'
}

compose_package() {
	[ "$(installer)" = apt-get ] || return 0
	for one in docker-compose-v2 docker-compose-plugin docker-compose; do
		case $(apt-cache policy "$one" 2>/dev/null | sed -n 's/^ *Candidate: *//p') in
		2.* | [3-9].*) echo "$one" && return ;;
		esac
	done
}

compose_look() {
	version=$(compose_version)
	case $version in
	'') item compose todo "install Docker Compose v2: the package of the distribution, or where it has none the one of the machine that runs setup" ;;
	[01].* | 2.[0-9] | 2.[0-9].* | 2.1[0-9].*) item compose todo "replace Docker Compose $version by a newer one" ;;
	*) item compose 'done' "Docker Compose $version" ;;
	esac
}

# Standard input: the plugin of the client's machine, or nothing.
compose_do() {
	mkdir -p "${everybodys_plugin%/*}" || return 1
	plugin=$everybodys_plugin.estiba
	# All of it first: apt may wait for minutes, and the client gives up on one that takes nothing.
	cat >"$plugin"
	package=$(compose_package)
	if [ -n "$package" ] && apt install -y -qq --no-install-recommends "$package" </dev/null; then
		case $(compose_look) in
		*' done '*) rm -f "$plugin" && return ;;
		esac
	fi
	if [ ! -s "$plugin" ]; then
		rm -f "$plugin"
		echo 'the distribution has no Compose v2, and the client sent none' >&2
		return 1
	fi
	chmod 0755 "$plugin"
	# One for another processor does not start.
	if ! "$plugin" version >/dev/null 2>&1; then
		rm -f "$plugin"
		echo "the client's Compose does not run here ($(uname -m))" >&2
		return 1
	fi
	mv "$plugin" "$everybodys_plugin" && [ -n "$(compose_version)" ]
}

logs_look() {
	if [ -n "$(find /etc/docker/daemon.json -newer /run/docker.pid 2>/dev/null)" ] && [ -z "$(docker ps -q 2>/dev/null)" ]; then
		item logs todo 'have the Docker Engine read /etc/docker/daemon.json'
	elif [ -e /etc/docker/daemon.json ]; then
		if grep -q 'max-size' /etc/docker/daemon.json; then
			item logs 'done' "containers' logs are rotated"
		else
			item logs advice "/etc/docker/daemon.json sets no bound for containers' logs: add \"log-opts\": {\"max-size\": \"10m\", \"max-file\": \"5\"}"
		fi
	else
		item logs todo "rotate containers' logs at 10 MB, five of each"
	fi
}

logs_do() {
	[ -e /etc/docker/daemon.json ] || printf '{\n  "log-driver": "json-file",\n  "log-opts": { "max-size": "10m", "max-file": "5" }\n}\n' | write /etc/docker/daemon.json 0644 || return 1
	# It counts from the next start on; one that runs containers is not restarted for it.
	if [ -z "$(docker ps -q)" ]; then
		if has_systemd; then systemctl restart docker; else service docker restart; fi
		engine_do
	fi
}

user_look() {
	if ! getent passwd "$user" >/dev/null; then
		item user todo "make the user $user, who may use Docker"
	elif [ "$(id -u "$user")" = 0 ] || id -nG "$user" | tr ' ' '\n' | grep -qx docker; then
		item user 'done' "$user may use Docker"
	else
		item user todo "let $user use Docker (the group docker)"
	fi
}

user_do() {
	getent passwd "$user" >/dev/null || useradd -m -s /bin/sh "$user" || return 1
	# Without a password nobody logs in by one; a locked account would refuse keys too.
	case $(getent shadow "$user" | cut -d : -f 2) in
	'!'*) usermod -p '*' "$user" || return 1 ;;
	esac
	getent group docker >/dev/null || groupadd docker || return 1
	[ "$(id -u "$user")" = 0 ] || usermod -aG docker "$user"
}

folders_look() {
	if [ -d "$root" ] && [ "$(stat -c %U "$root")" = "$user" ] && stat -c %A "$root" | grep -q '^drwx'; then
		others=$(find "$root" -mindepth 1 -maxdepth 1 -type d ! -user "$user" ! -name shared ! -name static | tr '\n' ' ')
		if [ -n "$others" ]; then
			item folders advice "another user deployed before and owns ${others% }: chown -R $user: ${others% }"
		else
			item folders 'done' "$root belongs to $user"
		fi
	else
		item folders todo "make $root for $user"
	fi
}

folders_do() {
	mkdir -p "$root" && chmod 0755 "$root" && chown "$user:" "$root"
}

scripts_look() {
	if [ -f "$root/bin/$scripts/plans" ]; then
		item scripts 'done' "estiba's scripts are there ($scripts)"
	else
		item scripts todo "bring estiba's scripts to $root/bin/$scripts"
	fi
}

# Standard input: a tar of them.
scripts_do() {
	rm -rf "$root/bin/.$scripts"
	mkdir -p "$root/bin/.$scripts" && tar -xzof - -C "$root/bin/.$scripts" || return 1
	[ -f "$root/bin/.$scripts/plans" ] || { echo 'the scripts did not arrive whole' >&2 && return 1; }
	chown "$user:" "$root/bin" && chown -R "$user:" "$root/bin/.$scripts" && mv "$root/bin/.$scripts" "$root/bin/$scripts" || return 1
	[ -e "$root/bin/current" ] || { ln -s "$scripts" "$root/bin/current" && chown -h "$user:" "$root/bin/current"; }
}

# Standard input of `look`: the sum of the gate, and the lines of the keys.
gate_look() {
	if [ -f "$gate" ] && [ "$(sha256sum <"$gate" | cut -d ' ' -f 1)" = "$gate_sum" ]; then
		item gate 'done' "$gate lets restricted keys ask for estiba's own scripts alone"
	else
		item gate todo "install $gate, which lets restricted keys ask for estiba's own scripts alone"
	fi
}

gate_do() {
	write "$gate" 0755
}

keys_file() {
	echo "$(home_of)/.ssh/authorized_keys"
}

keys_look() {
	if getent passwd "$user" >/dev/null && [ "$(stat -c %U "$(keys_file)" 2>/dev/null)" = "$user" ] && [ "$(grep -cxF "$key_lines" "$(keys_file)" 2>/dev/null)" = "$(printf '%s\n' "$key_lines" | grep -c .)" ]; then
		item keys 'done' "the keys that may deploy and look are let in"
	else
		item keys todo "let in the key that may deploy, and the key that may only look"
	fi
}

# other_keys FILE: its lines that are none of this project and target.
other_keys() {
	grep -vF -e " estiba:$name:deploy" -e " estiba:$name:look" "$1" 2>/dev/null
}

# Standard input: the lines. Those of before, of this project and target, go.
keys_do() {
	lines=$(cat)
	file=$(keys_file)
	mkdir -p "${file%/*}" && chmod 0700 "${file%/*}" && chown "$user:" "${file%/*}" || return 1
	{
		other_keys "$file"
		printf '%s\n' "$lines"
	} | write "$file" 0600 "$user:"
}

boot_unit=/etc/systemd/system/estiba-$name.service
# cron passes over a file with a dot in its name.
boot_cron=/etc/cron.d/estiba-$(printf '%s' "$name" | sed 's/[.]/--/g')

boot_text() {
	if has_systemd; then
		printf '%s\n' '[Unit]' "Description=estiba: ends the runs on $root that a crash of this machine cut off" 'After=docker.service' \
			'Wants=docker.service' '' '[Service]' 'Type=oneshot' 'RemainAfterExit=yes' "User=$user" "ExecStart=/bin/sh $root/bin/current/boot.sh $root" '' \
			'[Install]' 'WantedBy=multi-user.target'
	else
		echo "@reboot $user /bin/sh $root/bin/current/boot.sh $root"
	fi
}

boot_file() {
	if has_systemd; then echo "$boot_unit"; else echo "$boot_cron"; fi
}

boot_look() {
	if ! has_systemd && [ ! -d /etc/cron.d ]; then
		item boot advice "neither systemd nor cron is here: have something run \`/bin/sh $root/bin/current/boot.sh $root\` at boot, as $user"
	elif [ "$(cat "$(boot_file)" 2>/dev/null)" = "$(boot_text)" ] && { ! has_systemd || systemctl is-enabled -q "estiba-$name.service"; }; then
		item boot 'done' 'runs that a crash of the machine cuts off are ended at boot'
	else
		item boot todo 'have runs that a crash of the machine cuts off ended at boot'
	fi
}

boot_do() {
	boot_text | write "$(boot_file)" 0644 || return 1
	! has_systemd || { systemctl daemon-reload && systemctl enable -q "estiba-$name.service"; }
}

megabytes() {
	sed -n "s/^$1: *\([0-9]*\)[0-9][0-9][0-9] kB/\1/p" /proc/meminfo
}

swap_look() {
	memory=$(megabytes MemTotal)
	free=$(df -Pm / | awk 'NR == 2 { print $4 }')
	if [ "${memory:-0}" -ge 2000 ] || [ "$(megabytes SwapTotal)" ] && ! { [ -e /swapfile ] && ! grep -qs '^/swapfile ' /etc/fstab; }; then
		item swap 'done' "$memory MB of memory$([ -z "$(megabytes SwapTotal)" ] || echo ', and swap')"
	elif [ -f /.dockerenv ] || [ -e /run/.containerenv ] || tr '\0' '\n' </proc/1/environ 2>/dev/null | grep -q ^container= || [ "${free:-0}" -lt 3000 ] || [ -e /swapfile ]; then
		item swap advice "$memory MB of memory are little for two releases at once, and swap cannot be made here by itself"
	else
		item swap todo "make 1 GB of swap (/swapfile): $memory MB of memory are little for two releases at once"
	fi
}

swap_do() {
	rm -f /swapfile.estiba
	if dd if=/dev/zero of=/swapfile.estiba bs=1M count=1024 2>/dev/null && chmod 0600 /swapfile.estiba && mkswap /swapfile.estiba >/dev/null; then
		grep -q '^/swapfile ' /etc/fstab || echo '/swapfile none swap sw 0 0' >>/etc/fstab
		mv /swapfile.estiba /swapfile && swapon /swapfile
	else
		rm -f /swapfile.estiba
		return 1
	fi
}

clock_look() {
	# pgrep knows the first fifteen letters of a name.
	for one in systemd-timesyn chronyd ntpd ntpd-rs; do
		! pgrep -x "$one" >/dev/null 2>&1 || { item clock 'done' "$one keeps the time" && return; }
	done
	item clock advice 'nothing keeps the time: install systemd-timesyncd or chrony (certificates and backups go by it)'
}

firewall_look() {
	# The last word is the port of this very connection.
	port=${SSH_CONNECTION-}
	port=${port##* }
	if has ufw && ufw status 2>/dev/null | grep -q '^Status: active' || nft list ruleset 2>/dev/null | grep -q 'hook input' || systemctl is-active -q firewalld 2>/dev/null; then
		item firewall 'done' 'a firewall is at work'
	else
		item firewall advice 'no firewall: "ufw allow '"${port:-22}"',80,443/tcp" and "ufw enable" let SSH and the site in alone'
	fi
}

upgrades_look() {
	if [ "$(installer)" != apt-get ] || dpkg -s unattended-upgrades >/dev/null 2>&1; then
		item upgrades 'done' 'security updates come by themselves, or are the distribution'\''s matter'
	else
		item upgrades advice 'security updates do not come by themselves: "apt-get install unattended-upgrades"'
	fi
}

# Two that were started one after another, because the first one's client died, wait for each other. What is started here does not
# hold the lock on.
if [ "$verb" != look ] && has flock; then
	exec 9>/run/estiba-setup.lock
	flock 9
fi
case $verb in
look)
	[ "$(id -u)" = 0 ] || { item rights cannot "$(id -un) is not root: log in as root (--as root), or with --sudo" && echo 'estiba:end' && exit 0; }
	read -r gate_sum
	key_lines=$(cat)
	echo "estiba:os $(os_name)"
	for one in $items; do "${one}_look"; done
	echo 'estiba:end'
	;;
do)
	case " $items " in
	*" $7 "*) "${7}_do" 9>&- ;;
	*) exit 2 ;;
	esac
	;;
remove)
	file=$(keys_file)
	[ ! -f "$file" ] || other_keys "$file" | write "$file" 0600 "$user:"
	if has_systemd && [ -e "$boot_unit" ]; then systemctl disable -q "estiba-$name.service"; fi
	rm -f "$boot_unit" "$boot_cron"
	# The gate serves other projects' keys too.
	getent passwd | cut -d : -f 6 | sort -u | while read -r home; do cat "$home/.ssh/authorized_keys" 2>/dev/null; done | grep -qF "command=\"$gate " ||
		rm -rf "${gate%/*}"
	echo 'estiba:end'
	;;
esac
