"""Made chamber music: scores by rule or from files, played by recorded notes or soundfonts, in URMP's own layout."""
