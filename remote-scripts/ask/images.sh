#!/bin/sh
# images.sh: every image of the Engine, a line each: `estiba:image ID LAYERS`. Changes nothing.
docker image ls -q --no-trunc | sort -u | xargs -r docker image inspect -f 'estiba:image {{.Id}} {{json .RootFS.Layers}}'
