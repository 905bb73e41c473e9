<?php
// Shows a page that lies on the site's own disk.
readfile('/srv/site/page');
